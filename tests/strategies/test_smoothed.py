"""Blurred weights: their distribution, their names, and what they do to a cost."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ravine.errors import SettingError
from ravine.recipes.quadratic import hessian
from ravine.seeds import derive
from ravine.strategies import Smoothed
from ravine.training.noise import KEY

DRAWS = 20_000
SIGMA = 0.7


class Point(nn.Module):
    """θ itself, whatever comes in."""

    def __init__(self, size: int):
        super().__init__()
        self.theta = nn.Parameter(torch.linspace(-1, 2, size, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.theta.expand(len(x), -1)


def sampled(model: Smoothed, function: object) -> Tensor:
    """Of so many named draws: `function` of the output, one row each."""
    keys = torch.tensor([derive("draw", i) for i in range(DRAWS)])
    x = torch.zeros(1, 1, dtype=torch.float64)
    weights = dict(model.named_parameters())

    def one(key: Tensor) -> Tensor:
        return grad(lambda w: function(functional_call(model, {**w, KEY: key}, (x,))[0]))(weights)[
            "model.theta"
        ]

    return vmap(one)(keys).detach()


def test_the_gradient_on_a_quadratic_is_the_true_one_in_expectation():
    """∇J at θ + ε is H(θ + ε): mean Hθ, covariance σ²H². Five standard errors, of the mean and of
    the variance (√(2/n) of it)."""
    H = hessian(5, 10.0).double()
    model = Smoothed(Point(5), SIGMA)
    found = sampled(model, lambda theta: 0.5 * theta @ H @ theta)
    variance = SIGMA**2 * (H @ H).diagonal()
    off = (found.mean(0) - H @ model.model.theta.detach()).abs()
    assert (off <= 5 * (variance / DRAWS).sqrt()).all()
    assert ((found.var(0) / variance - 1).abs() <= 5 * math.sqrt(2 / DRAWS)).all()


def test_the_gradient_on_a_cosine_is_that_of_the_blurred_one():
    """E -ω sin(ω(θ+ε)) = -ω exp(-ω²σ²/2) sin ωθ; one draw lies in ±ω, so its deviation is below ω."""
    omega = 2.0
    model = Smoothed(Point(3), SIGMA)
    found = sampled(model, lambda theta: torch.cos(omega * theta).sum())
    theta = model.model.theta.detach()
    expected = -omega * math.exp(-0.5 * (omega * SIGMA) ** 2) * torch.sin(omega * theta)
    assert ((found.mean(0) - expected).abs() <= 5 * omega / math.sqrt(DRAWS)).all()


def test_evaluation_and_frozen_parameters_are_without_noise():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    net[0].requires_grad_(False)
    model = Smoothed(net, SIGMA)
    x = torch.randn(4, 3)
    assert torch.equal(model.eval()(x), net(x))
    model.train()
    assert not torch.equal(model(x), net(x))
    moved = model._perturbed()
    assert set(moved) == {"1.weight", "1.bias"}
    assert all(value.dtype is torch.float32 for value in moved.values())
    before = net[1].weight.clone()
    model(x).sum().backward()
    assert torch.equal(net[1].weight, before)
    assert net[1].weight.grad.abs().sum() > 0


def test_the_key_alone_says_the_noise():
    model = Smoothed(nn.Linear(3, 2), SIGMA)
    x = torch.randn(4, 3)
    first = model(x)
    assert torch.equal(model(x), first)
    model.noise_key.fill_(derive("another"))
    assert not torch.equal(model(x), first)
    assert KEY not in model.state_dict()


def test_a_width_that_is_none_is_refused():
    for sigma in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(SettingError, match="sigma="):
            Smoothed(nn.Linear(1, 1), sigma)
