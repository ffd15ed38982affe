"""What passes through a model in one forward pass, caught by hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ravine.diagnostics.look import Layer, Look
from ravine.diagnostics.watch.graph import kind, operations

WHOLE = "model"
"""The name of a layer that is the whole model."""

MAIN = ("input_ids", "inputs_embeds", "pixel_values", "input_values", "input_features", "inputs")
"""Keywords that a model's main input goes by, where it is given none by place; other tensors, such as
masks, may stand before it."""


class Scene:
    """The layers, inputs and output of the last forward pass that had gradients."""

    def __init__(self, model: nn.Module):
        self._model = model
        self._inputs: Tensor | None = None
        self._output: Tensor | None = None
        self._layers: list[Layer] = []
        self._uses: dict[str, int] = {}
        self._elsewhere = self._without_graph = False
        leaves = [(n, m) for n, m in model.named_modules() if not any(m.children())]
        self._handles = [
            leaf.register_forward_hook(self._catching(name or WHOLE), with_kwargs=True)
            for name, leaf in leaves
        ]
        self._handles.append(model.register_forward_pre_hook(lambda *_: self._begin()))
        self._handles.append(model.register_forward_hook(self._caught, with_kwargs=True))

    def look(
        self, step: int, loss: Tensor, params: Mapping[str, Tensor], rates: Mapping[str, float]
    ) -> Look:
        """The step as instruments see it."""
        layers = tuple(self._layers)
        return Look(step, loss, self._model, params, layers, self._inputs, self._output, rates)

    def obstacle(self, loss: Tensor) -> str:
        """What a derivative taken here would call or run once more, and so change the run; empty if
        there is nothing of the kind.

        Seen are hooks of modules, of parameters and of layers' outputs, and checkpointed layers; not
        seen are hooks of tensors between layers.
        """
        if self._elsewhere:
            return "parts of the model are checkpointed, or save their tensors elsewhere"
        if self._without_graph and "CheckpointFunction" in map(kind, operations(loss)):
            return "parts of the model are checkpointed"
        for name, module in self._model.named_modules():
            if module._backward_hooks or module._backward_pre_hooks:
                return f"the module {name or WHOLE!r} has backward hooks"
        for name, param in self._model.named_parameters():
            if param._backward_hooks:
                return f"the parameter {name!r} has hooks"
        held = [(layer.name, layer.output) for layer in self._layers]
        held += [("model", t) for t in (self._output,) if t is not None] + [("loss", loss)]
        for name, tensor in held:
            if tensor._backward_hooks or tensor.retains_grad:
                return f"the output of {name!r} has hooks, or retains its gradient"
        return ""

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _begin(self) -> None:
        """A forward pass begins: what an earlier one left is of no loss to come."""
        if torch.is_grad_enabled():
            self._layers.clear()
            self._uses.clear()
            self._elsewhere = self._without_graph = False

    def _catching(self, name: str) -> Callable[[nn.Module, Any, Any, Any], None]:
        def catch(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if not torch.is_grad_enabled():  # as inside of a reentrant checkpoint
                self._without_graph = True
                return
            self._elsewhere = self._elsewhere or _saves_elsewhere()
            found = _first_tensor(output)
            if found is not None:
                self._uses[name] = use = self._uses.get(name, 0) + 1
                shown = name if use == 1 else f"{name}#{use}"
                self._layers.append(Layer(shown, module, _given(args, kwargs), found))

        return catch

    def _caught(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if torch.is_grad_enabled():
            self._inputs, self._output = _given(args, kwargs), _returned(output)


def _saves_elsewhere() -> bool:
    """Whether tensors are now saved by somebody else's functions: a checkpoint's, which run the
    forward pass once more to get them back."""
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is not None and top(False) is not None


def _given(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """The main tensor among the arguments."""
    by_name = [kwargs[name] for name in MAIN if name in kwargs]
    return _first_tensor([*args, *by_name, *kwargs.values()])


def _returned(output: Any) -> Tensor | None:
    """The first tensor that is no single number: models that are given labels return their loss
    before their output."""
    return next((t for t in _tensors(output) if t.ndim > 0), _first_tensor(output))


def _first_tensor(value: Any) -> Tensor | None:
    """The value, or the first tensor in it."""
    return next(_tensors(value), None)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The value, or the tensors in it, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
