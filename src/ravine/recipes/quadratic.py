r"""An ill-conditioned quadratic bowl with noisy gradients and a known minimum.

    J(θ) = E_x ½ (θ - x)ᵀ H (θ - x),   H = Q diag(h) Qᵀ,   h from 1 down to 1/κ

With x of mean 0 the minimum is at θ = 0, whatever the noise. Q is a fixed rotation, so that no
coordinate is aligned with an axis of the bowl: a ravine for methods that scale coordinates, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ravine.recipes.recipe import Measure, Recipe
from ravine.seeds import generator

DIMENSIONS = 20
CONDITION = 1e3
NOISE = 0.05


class Displacement(nn.Module):
    """θ - x, for points x [examples, dimensions]; θ starts at a random point of unit variance."""

    def __init__(self, dimensions: int):
        super().__init__()
        self.theta = nn.Parameter(torch.randn(dimensions))

    def forward(self, x: Tensor) -> Tensor:
        """Displacements, [examples, dimensions]."""
        return self.theta - x


def hessian(dimensions: int = DIMENSIONS, condition: float = CONDITION) -> Tensor:
    """H, [dimensions, dimensions]: eigenvalues evenly spaced on a log scale from 1 to 1/condition."""
    noise = torch.randn(dimensions, dimensions, generator=generator("quadratic", "rotation"))
    rotation: Tensor = torch.linalg.qr(noise).Q
    eigenvalues = torch.logspace(0, -torch.log10(torch.tensor(condition)).item(), dimensions)
    return rotation @ torch.diag(eigenvalues) @ rotation.T


def quadratic_cost(H: Tensor) -> Measure:
    """½ (θ - x)ᵀ H (θ - x), the mean over displacements [examples, dimensions]."""

    def cost(displacement: Tensor, target: Tensor) -> Tensor:
        return 0.5 * ((displacement @ H) * displacement).sum(-1).mean()

    return cost


def quadratic() -> Recipe:
    """A quadratic bowl of 20 dimensions and condition number 1000; the metric is J(θ) - min J."""
    cost = quadratic_cost(hessian())

    def excess_error(displacement: Tensor, target: Tensor) -> Tensor:
        return cost(displacement, target)

    half = NOISE * torch.randn(128, DIMENSIONS, generator=generator("quadratic", "noise"))
    train = torch.cat([half, -half])  # antithetic pairs: the mean is exactly 0
    minimum = torch.zeros(1, DIMENSIONS)  # validated without noise: the cost is the excess error
    return Recipe(
        name="quadratic",
        model=lambda: Displacement(DIMENSIONS),
        cost=cost,
        metric=excess_error,
        train=(train, torch.zeros(len(train))),
        validation=(minimum, torch.zeros(1)),
        test=(minimum, torch.zeros(1)),
        batch_size=16,
        steps=500,
    )
