"""The problem `quadratic_deep` of DeepOBS (Schneider, Balles & Hennig 2019, "DeepOBS").

    J(θ) = E_x ½ (θ - x)ᵀ Q (θ - x),   x ~ N(0, 0.6² I) in 100 dimensions

90 eigenvalues of Q lie in [0, 1] and 10 in [30, 60], as was seen in deep networks (Chaudhari et al.
2016, "Entropy-SGD"), along random directions; training starts at θ = 1.

Their examples were shuffled once: `batches.shuffled_once()`, as benchmarks/deepobs.py compares. Shuffled
anew, as is usual here, momentum of 0.99 ends at 89.0 and not at 87.05 at their learning rate.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ravine.recipes.quadratic import Displacement, quadratic_cost
from ravine.recipes.recipe import Recipe

DIMENSIONS = 100
EXAMPLES = 1000
TESTED = 896
"""Test points: their evaluation leaves a last, smaller batch of 128 out."""

NOISE = 0.6
SEED = 42
"""Of the Hessian and of the training points, the test points' is one more, with NumPy's generator of
that time: the authors' own numbers. Test losses hang on them: another rotation shifts all by 2%."""


def hessian() -> Tensor:
    """Q, [100, 100]."""
    rng = np.random.RandomState(SEED)
    eigenvalues = np.concatenate([rng.uniform(0, 1, 90), rng.uniform(30, 60, 10)])
    rotation = _rotation(DIMENSIONS, rng)
    return torch.tensor(rotation.T @ (eigenvalues[:, None] * rotation), dtype=torch.float32)


def _rotation(dimensions: int, rng: np.random.RandomState) -> NDArray[np.float64]:
    """A rotation drawn evenly, one dimension after the other.

    Diaconis & Shahshahani 1987, "The subgroup algorithm for generating uniform random variables": a
    rotation of the last d coordinates, then a reflection that carries the first axis to a random point
    of the sphere.
    """
    angle = 2 * np.pi * rng.uniform()
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for size in range(3, dimensions + 1):
        point = rng.normal(size=size)
        normal = np.eye(size)[0] - point / np.linalg.norm(point)
        normal /= np.linalg.norm(normal)
        larger = np.eye(size)
        larger[1:, 1:] = rotation
        rotation = larger - 2 * np.outer(normal, normal @ larger)
    return -rotation


def quadratic_deep() -> Recipe:
    """DeepOBS's noisy quadratic of 100 dimensions with the spectrum of a deep network."""
    cost = quadratic_cost(hessian())
    return Recipe(
        name="quadratic-deep",
        model=_at_ones,
        cost=cost,
        train=_points(SEED, EXAMPLES),
        validation=_points(SEED + 1, TESTED),
        batch_size=128,
        epochs=100,
    )


def _at_ones() -> nn.Module:
    model = Displacement(DIMENSIONS)
    nn.init.ones_(model.theta)
    return model


def _points(seed: int, count: int) -> tuple[Tensor, Tensor]:
    points = np.random.RandomState(seed).normal(0, NOISE, (count, DIMENSIONS))
    return torch.tensor(points, dtype=torch.float32), torch.zeros(count)
