"""Running a model for a look, and leaving no trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ravine import hidden


@contextmanager
def forked_random(model: nn.Module) -> Iterator[None]:
    """After it torch's random state, of the CPU and of the model's GPUs, is as it was before."""
    tensors = (*model.parameters(), *model.buffers())
    devices = {t.device.index or 0 for t in tensors if t.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(devices)):
        yield


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Within it the model may be run, in any mode, and leaves no trace.

    Its buffers, its attributes that are plain data, the modes of its modules and torch's random state
    come back as they were, after an error, too. Parameters and gradients are not looked after: a
    forward pass leaves them.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.clone())
        for module, _ in modes
        for name, buffer in module._buffers.items()
    ]
    attributes = hidden.attributes(model)
    with forked_random(model):
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            hidden.put(model, attributes, {})
            with torch.no_grad():
                for module, name, buffer, before in buffers:
                    # An expanded buffer cannot be written; one that was not written need not be.
                    if (
                        buffer is not None
                        and before is not None
                        and not torch.equal(buffer, before)
                    ):
                        buffer.copy_(before)
                    module._buffers[name] = buffer
