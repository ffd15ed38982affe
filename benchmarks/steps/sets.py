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
    return [Parameter(torch.randn(shape, device=device).mul_(0.02)) for shape in shapes]


def gradients(shapes: list[Shape], device: str) -> list[Tensor]:
    """A separate tensor for each parameter, as autograd leaves them."""
    return [torch.randn(shape, device=device).mul_(0.01) for shape in shapes]


def attach(params: list[Parameter], grads: list[Tensor]) -> None:
    """Put gradients into `param.grad`."""
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad
