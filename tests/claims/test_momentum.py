"""Momentum's terminal speed and effective step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine import rules
from ravine.engines import eager
from tests.references import Array

LR, GRADIENT = 0.01, np.array([3.0, -0.5])
RULES = {
    "momentum": rules.momentum(),
    "nesterov": rules.nesterov(),
    "heavy_ball": rules.heavy_ball(),
}


def walk(name: str, momentum: float, steps: int, curvature: float = 0.0) -> Array:
    """θ after 0, 1, ... steps from θ = 0 under a constant gradient, or from 1 on ½λθ²."""
    rule = RULES[name]
    theta = torch.ones(1, dtype=torch.float64) if curvature else torch.zeros(2, dtype=torch.float64)
    constant = torch.from_numpy(GRADIENT)
    (state,) = eager.init_states(rule, [theta])
    hyper = eager.hyper_tensors({**rule.defaults, "lr": LR, "momentum": momentum})
    path = [theta.numpy().copy()]
    for _ in range(steps):
        gradient = curvature * rule.probe(theta, state, hyper) if curvature else constant
        eager.step(rule, [theta], [gradient], [state], hyper)
        path.append(theta.numpy().copy())
    return np.array(path)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("momentum", [0.5, 0.9, 0.99])
def test_under_a_constant_gradient_the_step_is_a_geometric_series(name, momentum):
    """The notes: "the size of each step is ε|g|/(1-α)".

    v_t = -εg (1 + α + ... + α^(t-1)) = -εg (1 - αᵗ)/(1 - α), whose sum is the way.
    """
    steps = 200
    path = walk(name, momentum, steps)
    t = np.arange(1, steps + 1)[:, None]
    speed = -LR * GRADIENT * (1 - momentum**t) / (1 - momentum)
    np.testing.assert_allclose(np.diff(path, axis=0), speed, rtol=1e-9)
    way = -LR * GRADIENT / (1 - momentum) * (t - momentum * (1 - momentum**t) / (1 - momentum))
    np.testing.assert_allclose(path[1:], way, rtol=1e-12)


@pytest.mark.parametrize(("momentum", "times"), [(0.5, 2), (0.9, 10), (0.99, 100)])
def test_momentum_multiplies_the_maximum_speed(momentum, times):
    """The notes: "helpful to think of the momentum hyperparameter in terms of 1/(1-α)": 0.9 is 10 times
    the speed of gradient descent. What is left of the start after 40/(1-α) steps is α^t < e⁻⁴⁰.
    """
    path = walk("momentum", momentum, 40 * times)
    fastest = np.abs(np.diff(path, axis=0)).max(axis=0)
    np.testing.assert_allclose(fastest / (LR * np.abs(GRADIENT)), times, rtol=1e-10)


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_on_a_flat_quadratic_momentum_descends_as_a_rate_1_over_1_minus_alpha_larger(momentum):
    """A rate ε/(1-α) of gradient descent multiplies θ by 1 - ελ/(1-α) a step; momentum by the larger
    root of r² - (1 + α - ελ) r + α = 0, which is that up to O((ελ)²)."""
    curvature, steps = 1e-3, 400
    path = walk("momentum", momentum, steps, curvature)[:, 0]
    b = 1 + momentum - LR * curvature
    root = (b + np.sqrt(b * b - 4 * momentum)) / 2
    np.testing.assert_allclose(path[-1] / path[-2], root, rtol=1e-12)
    np.testing.assert_allclose((1 - root) * (1 - momentum) / (LR * curvature), 1, rtol=1e-3)
