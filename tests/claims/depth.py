"""Signals through many layers: second moments of activations, and of gradients on the way back."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ravine.initializers import Initializer, initialize
from ravine.seeds import generator
from tests.references import Array

DEPTH = 50
LINEAR, RELU = 2.0, 5.0
"""n times the relative variance that one layer of n Gaussian units adds to a second moment q.

Given its inputs, a layer's z_i are independent N(0, 2q or q), so q' is a mean of n independent terms
with relative variance E t⁴ / (E t²)² - 1: 3 - 1 for t = z; 3/2 / (1/2)² - 1 for t = max(z, 0). On the
way back in a ReLU network: 3 for the units that pass, drawn with probability 1/2, and 2 for the sum.
"""


def network(activation: type[nn.Module], width: int, depth: int = DEPTH) -> nn.Sequential:
    """Square layers, each with an activation, in float64; not yet initialized."""

    def linear() -> nn.Module:
        return nn.utils.skip_init(nn.Linear, width, width, dtype=torch.float64)

    return nn.Sequential(*[part for _ in range(depth) for part in (linear(), activation())])


def moments(
    model: nn.Sequential, weights: str | Initializer, seed: int, stddev: float = 1.0
) -> tuple[Array, Array]:
    """Mean squares as multiples of those that go in.

    Args:
        model: of `network`; it is initialized here.
        weights: by which initializer. seed: of the weights, the input and the gradient.
        stddev: of the one Gaussian input.

    Returns:
        Of the activations after each layer, [depth], forward; of the gradients with respect to each
        layer's input, [depth], backward, the last layer's first.
    """
    initialize(model.requires_grad_(True), weights, seed=seed)  # frozen ones would stay
    model.requires_grad_(False)
    random = generator("depth", seed)
    width = model[0].in_features
    signal = stddev * torch.randn(1, width, generator=random, dtype=torch.float64)
    signals = [signal.requires_grad_()]
    for linear, activation in zip(model[::2], model[1::2], strict=True):
        signals.append(activation(linear(signals[-1])))
    gradient = torch.randn(1, width, generator=random, dtype=torch.float64)
    gradients = torch.autograd.grad(signals[-1], signals[:-1], gradient)
    forward = [float(s.detach().square().mean() / signal.detach().square().mean()) for s in signals]
    backward = [float(g.square().mean() / gradient.square().mean()) for g in gradients]
    return np.array(forward[1:]), np.array(backward[::-1])


def all_moments(
    activation: type[nn.Module],
    weights: str | Initializer,
    width: int,
    seeds: range,
    stddev: float = 1.0,
) -> Array:
    """`moments` of several networks: [seeds, forward and backward, depth]."""
    model = network(activation, width)
    return np.array([moments(model, weights, seed, stddev) for seed in seeds])


def fluctuation(per_layer: float, width: int, seeds: int, depth: int = DEPTH) -> float:
    """Standard deviation of the mean of a kept second moment over networks.

        √(((1 + c/n)^depth - 1) / seeds)      c: LINEAR or RELU

    The relative second moments of independent layers multiply.
    """
    return float(np.sqrt(((1 + per_layer / width) ** depth - 1) / seeds))


def seeds_for(per_layer: float, width: int, deviation: float, first: int = 0) -> range:
    """As many seeds as bring `fluctuation` down to a deviation."""
    needed = (fluctuation(per_layer, width, 1) / deviation) ** 2
    return range(first, first + int(np.ceil(needed)))


def tanh_in_wide_layers(variance: float, depth: int = DEPTH) -> Array:
    """Variance after each tanh layer with Var W = 1/n as n → ∞: q' = E tanh²(√q Z), by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    found = []
    for _ in range(depth):
        variance = float(weights @ np.tanh(np.sqrt(variance) * nodes) ** 2)
        found.append(variance)
    return np.array(found)
