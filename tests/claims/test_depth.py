"""Signals through 50 layers under each initialization."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ravine.initializers import identity
from tests.claims.depth import (
    DEPTH,
    LINEAR,
    RELU,
    all_moments,
    fluctuation,
    moments,
    network,
    seeds_for,
    tanh_in_wide_layers,
)

WIDTH = 256
SIGMAS = 4.0
DEVIATION = 0.5 / SIGMAS  # of a mean of 1: then 4 standard deviations down are the factor of 2
FIRST = 1000  # seeds that nothing was chosen by


def assert_kept(of_seeds: np.ndarray, deviation: float, lost: float = 0.0) -> None:
    """The mean second moment after each layer is 1 within 4 standard deviations, so within 2 times."""
    means = of_seeds.mean(axis=0)
    assert SIGMAS * deviation <= 0.5
    assert (abs(means - 1) <= SIGMAS * deviation + lost).all(), means
    assert ((means >= 0.5) & (means <= 2)).all()


def test_glorot_keeps_variances_through_tanh_in_its_linear_regime():
    """The notes: "The variance should stay the same across every layer", as "tanh(z) ≈ z".

    In n → n layers Var W = 1/n keeps E z² and E δ² exactly. tanh² z = z² - 2/3 z⁴ + ..., and
    E z⁴ = 3q², so a layer turns q into q (1 - 2q): the linear regime is 2 q depth ≪ 1. With inputs
    of standard deviation 0.01, q = 10⁻⁴, 50 layers lose 1%; so they do backward, (tanh')² =
    1 - 2z². The loss of a factor of 2 is reached at q = 1/(2 depth): a standard deviation of 0.1.
    """
    seeds = seeds_for(LINEAR, WIDTH, DEVIATION, FIRST)
    found = all_moments(nn.Tanh, "glorot_uniform", WIDTH, seeds, stddev=0.01)
    deviation = fluctuation(LINEAR, WIDTH, len(seeds))
    assert_kept(found[:, 0], deviation, lost=0.01)
    assert_kept(found[:, 1], deviation, lost=0.01)


def test_glorot_does_not_keep_variances_of_ordinary_inputs_through_tanh():
    """The notes: "tanh(z) ≈ z" does not hold for inputs of variance 1: the variance falls as 1/(2 depth).

    dq/dl = -2q² gives q = 1/(1/q₀ + 2l); the exact map of wide layers is a quadrature: 0.0093 after
    50. In layers of n units 1/q fluctuates by √(2 depth / 3n) of itself, 36%, which moves the mean
    over 32 networks by less than a factor of 2.
    """
    found = all_moments(nn.Tanh, "glorot_uniform", WIDTH, range(FIRST, FIRST + 32))[:, 0]
    means = found.mean(axis=0)
    theory = tanh_in_wide_layers(1.0)
    assert theory[-1] < 1 / DEPTH
    assert (means[9:] < 0.1).all()
    assert ((means / theory > 0.5) & (means / theory < 2)).all()


def test_he_keeps_second_moments_through_relu():
    """The notes: "the relu function is not symmetric. This is the motivation for He initialization".

    A ReLU passes half the second moment of a symmetric z, which Var W = 2/n doubles: the mean over
    networks is kept exactly at any width, forward and backward (Hanin 2018). One network
    of n units fluctuates by √((1 + 5/n)^50 - 1): 128% at n = 256, so it takes 105 of them.
    """
    seeds = seeds_for(RELU, WIDTH, DEVIATION, FIRST)
    found = all_moments(nn.ReLU, "he_uniform", WIDTH, seeds)
    deviation = fluctuation(RELU, WIDTH, len(seeds))
    assert_kept(found[:, 0], deviation)
    assert_kept(found[:, 1], deviation)


def test_glorot_on_relu_halves_the_second_moment_at_each_layer():
    """The notes: "We can no longer assume that the activations are linear around zero".

    The same bounds as He's, after multiplying by 2 for each layer: 2⁻⁵⁰ in the end.
    """
    seeds = seeds_for(RELU, WIDTH, DEVIATION, FIRST)
    found = all_moments(nn.ReLU, "glorot_uniform", WIDTH, seeds)
    deviation = fluctuation(RELU, WIDTH, len(seeds))
    doublings = 2.0 ** np.arange(1, DEPTH + 1)
    assert_kept(found[:, 0] * doublings, deviation)
    assert_kept(found[:, 1] * doublings, deviation)


@pytest.mark.parametrize(("gain", "word"), [(0.5, "vanishes"), (1.5, "explodes")])
def test_half_the_identity_vanishes_and_one_and_a_half_explodes(gain, word):
    """The notes: "Vanishing: W = 0.5 I" and "Exploding: W = 1.5 I", exactly 0.5⁵⁰ and 1.5⁵⁰.

    Each layer rounds once, forward and backward: 50 times 2⁻⁵³, twice for the square, and as much
    for the mean.
    """
    forward, backward = moments(network(nn.Identity, 2), identity(gain), seed=0)
    for found in (forward, backward):
        powers = np.array([gain ** (2 * layer) for layer in range(1, DEPTH + 1)])
        np.testing.assert_allclose(found, powers, rtol=4 * DEPTH * 2.0**-53)
    assert (forward[-1] < 1e-30) if word == "vanishes" else (forward[-1] > 1e17)


def test_an_exploding_identity_saturates_tanh_instead():
    """The notes' "exploding" is of linear layers.

    Through tanh, 1.5 I leads to the fixed point a = tanh(1.5 a) = 0.8586, and the gradients vanish
    there, by 1.5 (1 - a²) = 0.394 a layer.
    """
    model = network(nn.Tanh, 2)
    _, backward = moments(model, identity(1.5), seed=0)
    last = model(torch.full((1, 2), 0.3, dtype=torch.float64))
    np.testing.assert_allclose(last.abs(), 0.858560, atol=1e-6)
    factor = np.sqrt(backward[30] / backward[29])
    np.testing.assert_allclose(factor, 1.5 * (1 - 0.858560**2), rtol=1e-3)
