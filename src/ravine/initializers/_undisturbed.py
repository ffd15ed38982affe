"""Running a model for a look, and leaving no trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def forked_random(model: nn.Module) -> Iterator[None]:
    """After it torch's random state, of the CPU and of the model's GPUs, is as it was before."""
    devices = {p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(devices)):
        yield


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Within it the model may be run: its buffers, and torch's random state, come back as they were.

    Parameters, gradients and the training mode are not looked after: a forward pass leaves them.
    """
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    with forked_random(model):
        try:
            yield
        finally:
            with torch.no_grad():
                for module, name, buffer, before in buffers:
                    if buffer is not None and before is not None:
                        buffer.copy_(before)
                    module._buffers[name] = buffer
