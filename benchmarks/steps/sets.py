"""The sets of parameters that are stepped."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter

Shape = tuple[int, ...]


def gpt2() -> list[Shape]:
    """GPT-2 small: 148 tensors, 124M elements (the head is tied to the embedding)."""
    d = 768
    norm: list[Shape] = [(d,), (d,)]
    attention: list[Shape] = [(d, 3 * d), (3 * d,), (d, d), (d,)]
    mlp: list[Shape] = [(d, 4 * d), (4 * d,), (4 * d, d), (d,)]
    return [(50257, d), (1024, d), *(norm + attention + norm + mlp) * 12, *norm]


def small() -> list[Shape]:
    """200 tensors, 0.4M elements: what counts is the work per tensor, not per element."""
    return [(40, 50)] * 100 + [(2000,)] * 100


SETS = {"small": small, "gpt2": gpt2}


def parameters(shapes: list[Shape], device: str) -> list[Parameter]:
    """Parameters of standard deviation 0.02, each with memory of its own."""
    return [Parameter(tensor) for tensor in _random(shapes, device, 0.02)]


def gradients(shapes: list[Shape], device: str) -> list[Tensor]:
    """A separate tensor for each parameter, as autograd leaves them."""
    return _random(shapes, device, 0.01)


def _random(shapes: list[Shape], device: str, deviation: float) -> list[Tensor]:
    """Cut from the same numbers: to draw 124M anew takes as long as ten steps."""
    sizes = [torch.Size(shape).numel() for shape in shapes]
    drawn = torch.randn(max(sizes), device=device).mul_(deviation)
    return [drawn[:n].clone().view(shape) for n, shape in zip(sizes, shapes, strict=True)]


def attach(params: list[Parameter], grads: list[Tensor]) -> None:
    """Put gradients into `param.grad`."""
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad
