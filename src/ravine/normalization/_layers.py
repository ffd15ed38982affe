"""The batch norms of a model, and passes through it that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from ravine.normalization._forms import has_variance
from ravine.undisturbed import undisturbed

See = Callable[[str, BatchNorm, Tensor], None]
"""(name, layer, what comes in), called before a batch norm computes."""


def batch_norms(model: nn.Module) -> dict[str, BatchNorm]:
    """The batch norms of a model by their names, each once."""
    return {name: m for name, m in model.named_modules() if isinstance(m, BatchNorm)}


@contextmanager
def watched(model: nn.Module, see: See) -> Iterator[None]:
    """Forward passes in which batch norms take the training form, and all else that of evaluation.

    Dropout is off, so what a batch norm sees is what it will see at test time, up to the minibatch
    that normalizes. No gradient is taken; running statistics, modes, hooks and the state of torch's
    random generators are afterwards as they were.

    One value per channel has no training form: there the layer takes the evaluation form.
    """
    handles = []
    for name, layer in batch_norms(model).items():
        form = _MinibatchForm(name, layer, see)
        handles.append(layer.register_forward_pre_hook(form.enter, with_kwargs=True))
        handles.append(layer.register_forward_hook(form.leave, with_kwargs=True, always_call=True))
    try:
        # Compiled modules do not look at new hooks: they run as written meanwhile.
        with undisturbed(model), torch.no_grad(), torch.compiler.set_stance("force_eager"):
            model.eval()
            yield
    finally:
        for handle in handles:
            handle.remove()


class _MinibatchForm:
    """One batch norm without running statistics while it computes: torch then takes the minibatch's."""

    def __init__(self, name: str, layer: BatchNorm, see: See):
        self._name = name
        self._see = see
        self._kept = layer.running_mean, layer.running_var

    def enter(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before the layer computes."""
        assert isinstance(layer, BatchNorm)
        H = entering(args, kwargs)
        self._see(self._name, layer, H)
        if has_variance(H):
            layer.running_mean, layer.running_var = None, None

    def leave(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        """After it, or after it failed."""
        assert isinstance(layer, BatchNorm)
        layer.running_mean, layer.running_var = self._kept


def entering(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """What comes into a layer of one input, given by place or by name."""
    H = args[0] if args else kwargs["input"]
    assert isinstance(H, Tensor)
    return H
