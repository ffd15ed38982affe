"""Gradients and Hessians by other ways than the instruments': functional, dense, in float64."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ravine.diagnostics.instrument import Readings

Cost = Callable[[Tensor, Tensor], Tensor]


def whole(readings: Readings) -> dict[str, float]:
    """Readings of the whole run, by quantity."""
    return {name.quantity: value for name, value in readings.items() if name.place == ""}


def at(readings: Readings, quantity: str) -> dict[str, float]:
    """Readings of one quantity by place, the whole run left out."""
    return {n.place: v for n, v in readings.items() if n.quantity == quantity and n.place}


def point(model: nn.Module) -> Tensor:
    """θ, [n]."""
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def costing(
    model: nn.Module, inputs: Tensor, targets: Tensor, cost: Cost
) -> Callable[[Tensor], Tensor]:
    """J as a function of θ, [n]."""
    shapes = {name: p.shape for name, p in model.named_parameters()}

    def value(theta: Tensor) -> Tensor:
        pieces = theta.split([shape.numel() for shape in shapes.values()])
        params = {n: t.view(s) for (n, s), t in zip(shapes.items(), pieces, strict=True)}
        buffers = {n: b.clone() for n, b in model.named_buffers()}
        output = torch.func.functional_call(model, (params, buffers), (inputs,))
        return cost(output, targets)

    return value


def gradient(model: nn.Module, inputs: Tensor, targets: Tensor, cost: Cost) -> Tensor:
    return torch.func.grad(costing(model, inputs, targets, cost))(point(model))


def hessian(model: nn.Module, inputs: Tensor, targets: Tensor, cost: Cost) -> Tensor:
    """H, [n, n].

    Not by torch.func.hessian: with batch norm in training mode that one is not symmetric and is
    off by 1 to 3% (torch 2.13), where central differences agree with this one.
    """
    return torch.autograd.functional.hessian(costing(model, inputs, targets, cost), point(model))


def each(model: nn.Module, inputs: Tensor, targets: Tensor, cost: Cost) -> Tensor:
    """The gradients of single examples' costs, [batch, n]."""

    def of_one(theta: Tensor, x: Tensor, t: Tensor) -> Tensor:
        return costing(model, x.unsqueeze(0), t.unsqueeze(0), cost)(theta)

    per_example = torch.func.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))
    return per_example(point(model), inputs, targets)


class Bowl(nn.Module):
    """J = ½ θᵀHθ: returns θ, with `quadratic` as its cost."""

    def __init__(self, theta: Tensor):
        super().__init__()
        self.theta = nn.Parameter(theta.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        return self.theta


def quadratic(theta: Tensor, H: Tensor) -> Tensor:
    return 0.5 * theta @ H @ theta


def rotated(eigenvalues: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A symmetric matrix of these eigenvalues in a random direction, and its eigenvectors [n, n]."""
    noise = torch.randn(
        len(eigenvalues),
        len(eigenvalues),
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.float64,
    )
    Q = torch.linalg.qr(noise).Q
    return Q @ torch.diag(eigenvalues) @ Q.T, Q
