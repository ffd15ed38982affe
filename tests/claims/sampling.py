"""Errors of minibatch gradients at a fixed point, through the Gram matrix of per-example gradients."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, vmap

from ravine.batches import Batches, Order
from ravine.initializers import initialize
from ravine.recipes import Split
from tests.problems import digits_problem, mlp
from tests.references import Array


def digits_gradients(seed: int = 0) -> tuple[Array, Array]:
    """Gradients of the digits network at its He start, one row an example [1078, 4810]; the labels."""
    train = digits_problem(mlp, torch.float64).train
    assert isinstance(train, Split)
    model = initialize(mlp().double(), "he_normal", seed=seed)
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def cost(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, weights, (x[None],)), y[None])

    each = vmap(grad(cost), in_dims=(None, 0, 0))(weights, train.inputs, train.targets)
    rows = torch.cat([g.flatten(start_dim=1) for g in each.values()], dim=1)
    return rows.numpy(), train.targets.numpy()


class Sampled:
    """Minibatch means of vectors, against the mean of all of them.

    Args:
        vectors: one row an example, [examples, size].
    """

    def __init__(self, vectors: Array):
        centered = vectors - vectors.mean(axis=0)
        self.examples = len(vectors)
        self.gram = centered @ centered.T
        self.mean_square = float((vectors.mean(axis=0) ** 2).sum())

    @property
    def variance(self) -> float:
        """σ², the mean squared distance of an example's vector from the mean, summed over entries."""
        return float(np.trace(self.gram)) / self.examples

    def squared_errors(self, minibatches: Array) -> Array:
        """Squared distance of each minibatch's mean from the mean: [draws, size] -> [draws]."""
        shares = np.zeros((len(minibatches), self.examples))
        np.add.at(shares, (np.arange(len(minibatches))[:, None], minibatches), 1.0)
        return self.squared_errors_of(shares / minibatches.shape[1])

    def squared_errors_of(self, shares: Array) -> Array:
        """The same for weighted means, weights [draws, examples] of sum 1."""
        return np.einsum("di,di->d", shares @ self.gram, shares)


def drawn(order: Order, examples: int, size: int, draws: int, seed: int) -> Array:
    """Independent minibatches: the first one of each of so many runs, [draws, size]."""
    seeds = list(range(seed, seed + draws))
    return Batches(seeds, examples, size, "cpu", [order] * draws).at(0).numpy()


def standard_errors(
    sampled: Sampled, order: Order, sizes: list[int], draws: int, seed: int
) -> dict[int, Array]:
    """Squared errors of minibatch means by batch size, [draws] each."""
    return {
        size: sampled.squared_errors(drawn(order, sampled.examples, size, draws, seed + draws * i))
        for i, size in enumerate(sizes)
    }


def patients(groups: int, samples: int, features: int, likeness: float, seed: int) -> Array:
    """Vectors of several samples of each patient, of variance 1 and correlation `likeness`.

    Returns:
        [groups · samples, features], the samples of a patient one after the other.
    """
    random = np.random.default_rng(seed)
    common = np.repeat(random.standard_normal((groups, features)), samples, axis=0)
    own = random.standard_normal((groups * samples, features))
    return np.sqrt(likeness) * common + np.sqrt(1 - likeness) * own


def within_and_between(vectors: Array, samples: int) -> tuple[float, float]:
    """Variance of a patient's samples about their mean, and of those means, summed over entries.

    The mean square within, divided by `samples`; the one between, divided by the number of patients.
    """
    of_patients = vectors.reshape(-1, samples, vectors.shape[1])
    means = of_patients.mean(axis=1)
    within = ((of_patients - means[:, None]) ** 2).sum(axis=2).mean()
    between = ((means - means.mean(axis=0)) ** 2).sum(axis=1).mean()
    return float(within), float(between)
