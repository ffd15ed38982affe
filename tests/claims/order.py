"""SGD on least squares under several orders of examples, many runs at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ravine import rules
from ravine.batches import Batches, InMemory, Order, shuffled_once
from ravine.engines.population import PopulationEngine
from ravine.schedules import Schedule
from ravine.seeds import generator
from tests.references import Array


@dataclass(frozen=True)
class LeastSquares:
    """J(θ) = mean of ½(x·θ - y)², with inputs whitened so that its Hessian is the identity.

    Then J(θ) - min J = ½ |θ - θ̂|².

    Attributes:
        inputs: [examples, features]. targets: [examples]. minimum: θ̂, [features].
    """

    inputs: Tensor
    targets: Tensor
    minimum: Tensor

    @classmethod
    def of(cls, inputs: Tensor, noise: Tensor) -> LeastSquares:
        """Targets are the sum of the whitened inputs and the noise."""
        q, _ = torch.linalg.qr(inputs)
        white = q * len(q) ** 0.5
        targets = white.sum(dim=1) + noise
        return cls(white, targets, white.T @ targets / len(white))


def independent(examples: int, features: int, seed: int) -> LeastSquares:
    """Gaussian inputs, and targets with noise of variance 1."""
    random = generator("least squares", seed)
    inputs = torch.randn(examples, features, generator=random, dtype=torch.float64)
    return LeastSquares.of(inputs, torch.randn(examples, generator=random, dtype=torch.float64))


def of_patients(
    groups: int, samples: int, features: int, likeness: float, seed: int
) -> LeastSquares:
    """Inputs and noise that the samples of one patient have in common, for that share of the variance."""
    random = generator("patients", seed)
    shape = (groups, 1, features + 1)
    common = torch.randn(shape, generator=random, dtype=torch.float64)
    own = torch.randn(groups, samples, features + 1, generator=random, dtype=torch.float64)
    all_ = (likeness**0.5 * common + (1 - likeness) ** 0.5 * own).flatten(end_dim=1)
    return LeastSquares.of(all_[:, :features], all_[:, features])


def excess(
    problem: LeastSquares,
    orders: Mapping[str, Order],
    seeds: Sequence[int],
    schedule: Schedule,
    batch_size: int,
    steps: Sequence[int],
) -> dict[str, Array]:
    """Excess errors of SGD from θ = 0 after so many steps, [steps, seeds] for each order."""
    rows = [(seed, order) for order in orders.values() for seed in seeds]
    examples, features = problem.inputs.shape
    batches = Batches([s for s, _ in rows], examples, batch_size, "cpu", [o for _, o in rows])
    feed = InMemory(problem.inputs, problem.targets, batches)
    weights = torch.zeros(len(rows), features, dtype=torch.float64)
    engine = PopulationEngine(rules.sgd(), [{"lr": 1.0}] * len(rows), weights, [weights.shape[1:]])
    looks, found = set(steps), []
    for k in range(max(steps)):
        engine.set("lr", [schedule(k)] * len(rows))
        engine.step(_gradients(weights, *feed.at(k)))
        if k + 1 in looks:
            found.append(((weights - problem.minimum) ** 2).sum(dim=1) / 2)
    table = torch.stack(found).reshape(len(steps), len(orders), len(seeds))
    return {name: table[:, i].numpy() for i, name in enumerate(orders)}


def pulls(
    data_sets: int, examples: int, features: int, batch_size: int, passes: int, rate: float
) -> tuple[Array, Array]:
    """How minibatch gradients differ from that of the generalization error, pass after pass.

    Every data set is drawn anew: x ~ N(0, I), y = Σx + N(0, 1); J*(θ) = ½ |θ - θ*|² + ½, θ* = 1. SGD
    from θ = 0 sees it shuffled once.

    Returns:
        (∇J*(θ) - ĝ) · (θ - θ*), [data sets, steps]: by how much less the minibatch pulls towards θ*
        than the generalization error does; and that pull, ∇J*(θ) · (θ - θ*).
    """
    random = generator("pulls")
    inputs = torch.randn(data_sets, examples, features, generator=random, dtype=torch.float64)
    noise = torch.randn(data_sets, examples, generator=random, dtype=torch.float64)
    targets = inputs.sum(dim=2) + noise
    batches = Batches([0], examples, batch_size, "cpu", [shuffled_once()])
    weights = torch.zeros(data_sets, features, dtype=torch.float64)
    hyper = [{"lr": rate}] * data_sets
    engine = PopulationEngine(rules.sgd(), hyper, weights, [weights.shape[1:]])
    differences, true = [], []
    for k in range(passes * (examples // batch_size)):
        batch = batches.at(k)[0]
        gradients = _gradients(weights, inputs[:, batch], targets[:, batch])
        generalization = weights - 1
        differences.append(((generalization - gradients) * generalization).sum(dim=1))
        true.append((generalization**2).sum(dim=1))
        engine.step(gradients)
    return torch.stack(differences, dim=1).numpy(), torch.stack(true, dim=1).numpy()


def _gradients(weights: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of (x·θ - y) x over each run's minibatch, [runs, features]."""
    errors = torch.einsum("rbf,rf->rb", inputs, weights) - targets
    return torch.einsum("rb,rbf->rf", errors, inputs) / targets.shape[1]


def largest_stable_rate(features: int, batch_size: int) -> float:
    """Up to which rate SGD with fresh Gaussian inputs contracts E |θ - θ*|²: 2m / (m + d + 1).

    E (I - εĤ)² = I - 2εI + ε² E Ĥ², and E Ĥ² = (1 + (d+1)/m) I for the mean Ĥ of m matrices xxᵀ, since
    E (xxᵀ)² = (d+2) I.
    """
    return 2 * batch_size / (batch_size + features + 1)


def contraction(features: int, batch_size: int, rate: float, runs: int, seed: int) -> Array:
    """|θ - θ*|² after one step of SGD over that before it, noiseless targets, [runs]."""
    random = generator("contraction", seed)
    inputs = torch.randn(runs, batch_size, features, generator=random, dtype=torch.float64)
    weights = torch.zeros(runs, features, dtype=torch.float64)
    engine = PopulationEngine(rules.sgd(), [{"lr": rate}] * runs, weights, [weights.shape[1:]])
    engine.step(_gradients(weights, inputs, inputs.sum(dim=2)))
    return (((weights - 1) ** 2).sum(dim=1) / features).numpy()


def log_ratio(one: Array, other: Array) -> Array:
    """log of one over the other, entry by entry: paired by seed."""
    return np.log(one / other)
