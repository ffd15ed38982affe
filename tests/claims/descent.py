"""SGD on noisy quadratics: many runs at once, and what their excess error is by theory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ravine import rules
from ravine.engines.population import PopulationEngine
from ravine.schedules import Schedule
from ravine.seeds import generator
from tests.references import Array


def excess(
    schedule: Schedule,
    rates: Sequence[float],
    curvatures: Sequence[float],
    steps: Sequence[int],
    runs: int,
    seed: int,
) -> Array:
    """Excess errors J(θ) - min J of SGD on J = ½λθ² from θ = 1, gradients λθ + ξ, ξ ~ N(0, 1).

    Args:
        schedule: ε_k / c, of steps k from 0.
        rates, curvatures: c and λ of each problem.
        steps: after how many steps to look, ascending.
        runs: of each problem. seed: of the noise.

    Returns:
        [steps, problems, runs].
    """
    random = generator("descent", seed)
    slope = torch.tensor(curvatures, dtype=torch.float64)[:, None]
    weights = torch.ones(len(rates), runs, dtype=torch.float64)
    hyper = [{"lr": rate} for rate in rates]
    engine = PopulationEngine(rules.sgd(), hyper, weights, [weights.shape[1:]])
    found = []
    for k in range(max(steps)):
        noise = torch.randn(weights.shape, generator=random, dtype=torch.float64)
        engine.set("lr", [rate * schedule(k) for rate in rates])
        engine.step(slope * weights + noise)
        if k + 1 in steps:
            found.append((slope / 2 * weights**2).numpy())
    return np.stack(found)


def expected_excess(
    schedule: Schedule, rates: Sequence[float], curvatures: Sequence[float], steps: Sequence[int]
) -> Array:
    """What `excess` is on average: E θ² ← (1 - ελ)² E θ² + ε², [steps, problems]."""
    curvature = np.asarray(curvatures)
    square = np.ones(len(curvature))
    found = []
    for k in range(max(steps)):
        rate = np.asarray(rates) * schedule(k)
        square = (1 - rate * curvature) ** 2 * square + rate**2
        if k + 1 in steps:
            found.append(curvature / 2 * square)
    return np.stack(found)


def floor(rate: Array) -> Array:
    """Where a constant rate stops on a quadratic of curvature 1: the fixed point of that recursion.

    E J = ε σ² / (2 (2 - ελ)),      half of ε σ²/2 for small ε
    """
    return rate / (2 * (2 - rate))


def in_groups(samples: Array, groups: int = 16) -> Array:
    """Means of so many independent groups of runs: [..., runs] -> [..., groups]."""
    return samples.reshape(*samples.shape[:-1], groups, -1).mean(axis=-1)
