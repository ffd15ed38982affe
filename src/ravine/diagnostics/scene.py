"""What passes through a model in one forward pass, caught by hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ravine.diagnostics.look import Layer, Look

WHOLE = "model"
"""The name of a layer that is the whole model."""


class Scene:
    """The layers, inputs and output of the last forward pass that had gradients."""

    def __init__(self, model: nn.Module):
        self._model = model
        self._inputs: Tensor | None = None
        self._output: Tensor | None = None
        self._layers: list[Layer] = []
        self._uses: dict[str, int] = {}
        leaves = [(n, m) for n, m in model.named_modules() if not any(m.children())]
        self._handles = [
            leaf.register_forward_hook(self._catching(name or WHOLE)) for name, leaf in leaves
        ]
        self._handles.append(model.register_forward_pre_hook(lambda *_: self._begin()))
        self._handles.append(model.register_forward_hook(self._caught))

    def look(
        self, step: int, loss: Tensor, params: Mapping[str, Tensor], rates: Mapping[str, float]
    ) -> Look:
        """The step as instruments see it."""
        layers = tuple(self._layers)
        return Look(step, loss, self._model, params, layers, self._inputs, self._output, rates)

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _begin(self) -> None:
        """A forward pass begins: what an earlier one left is of no loss to come."""
        if torch.is_grad_enabled():
            self._layers.clear()
            self._uses.clear()

    def _catching(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def catch(module: nn.Module, args: Any, output: Any) -> None:
            found = _first_tensor(output)
            if found is not None and torch.is_grad_enabled():
                self._uses[name] = use = self._uses.get(name, 0) + 1
                shown = name if use == 1 else f"{name}#{use}"
                self._layers.append(Layer(shown, module, _first_tensor(args), found))

        return catch

    def _caught(self, module: nn.Module, args: Any, output: Any) -> None:
        if torch.is_grad_enabled():
            self._inputs, self._output = _first_tensor(args), _first_tensor(output)


def _first_tensor(value: Any) -> Tensor | None:
    """The value, or the first tensor in it."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return next((t for t in map(_first_tensor, value) if t is not None), None)
    return None
