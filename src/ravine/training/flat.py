"""A module's trainable parameters as one flat vector, and back."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layout:
    """Where each trainable parameter lies in the flat vector.

    Attributes:
        shapes: parameter name -> shape, in the module's order.
    """

    shapes: dict[str, torch.Size]

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """The layout of a module's parameters that require a gradient."""
        return cls({n: p.shape for n, p in model.named_parameters() if p.requires_grad})

    def flatten(self, tensors: dict[str, Tensor]) -> Tensor:
        """Tensors by name -> [size]."""
        return torch.cat([tensors[name].reshape(-1) for name in self.shapes])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """[size] -> views by name."""
        pieces = torch.split(flat, [prod(shape) for shape in self.shapes.values()])
        return {name: p.view(s) for (name, s), p in zip(self.shapes.items(), pieces, strict=True)}


def constants(model: nn.Module) -> dict[str, Tensor]:
    """What a module holds besides trainable parameters: buffers and frozen parameters, by name."""
    frozen = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
    return {**frozen, **dict(model.named_buffers())}


def hold_constants(model: nn.Module, saved: dict[str, Tensor]) -> None:
    """Put what `constants` gave into the module: in place, or, where a forward pass has set a buffer to a
    tensor of another shape, as a new tensor."""
    held = constants(model)
    for name, value in saved.items():
        there = held.get(name)
        if there is None or (there.shape, there.dtype) != (value.shape, value.dtype):
            _set(model, name, value.clone())
        elif not torch.equal(there, value):  # an expanded buffer cannot be written
            there.copy_(value)
    for name in held.keys() - saved.keys():
        _set(model, name, None)


def _set(model: nn.Module, name: str, value: Tensor | None) -> None:
    path, _, buffer = name.rpartition(".")
    model.get_submodule(path)._buffers[buffer] = value
