"""What no step can be faster than: the same words read and written once, in one compiled pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from steps.sets import Shape


class Floor:
    """Reads parameter, gradient and states, and writes parameter and states, each once.

    Everything lies flat, and was compiled by `torch.compile` for exactly this size. The arithmetic,
    one multiplication and one addition a state, hides behind the memory.

    Args:
        shapes: of the parameters.
        states: how many state tensors of the parameters' size the rule keeps.
        device: where all lie.
    """

    def __init__(self, shapes: list[Shape], states: int, device: str):
        elements = sum(torch.Size(shape).numel() for shape in shapes)
        self._param = torch.full((elements,), 0.02, device=device)
        self._grad = torch.full((elements,), 0.01, device=device)
        self._states = [torch.zeros(elements, device=device) for _ in range(states)]
        self._touch: Callable[..., None] = torch.compile(_touch, dynamic=False, fullgraph=True)

    @torch.no_grad()
    def step(self) -> None:
        self._touch(self._param, self._grad, *self._states)


def _touch(param: Tensor, grad: Tensor, *states: Tensor) -> None:
    """Sums that shrink by a tenth, so that no number overflows or becomes denormal."""
    total = grad
    for state in states:
        total = total + state
        state.copy_(0.9 * state + grad)
    param.copy_(0.9 * param + total)
