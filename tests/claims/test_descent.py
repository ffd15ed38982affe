"""How fast SGD converges under decaying rates, and where it stops under a constant one."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from ravine import rules
from ravine.engines import eager
from ravine.schedules import constant, inverse_sqrt, inverse_time
from tests.claims.descent import excess, expected_excess, floor, in_groups
from tests.claims.statistics import LEVEL, interval, slopes

STEPS = [32, 64, 128, 256, 512, 1024, 2048, 4096]
RUNS = 4096
SEED = 70_500
HARMONIC = inverse_time(1.0)  # c/(k+1)
CURVATURES = np.geomspace(1e-3, 1.0, 31).tolist()


def assert_as_told(found: np.ndarray, theory: np.ndarray) -> None:
    """Means over runs against their expectation, all at once at `LEVEL`.

    θ is Gaussian with mean m and variance s²: Var θ² = 2s⁴ + 4m²s² ≤ 2 (E θ²)², so the mean of n runs
    is within z √(2/n) of what is expected, relative.
    """
    z = stats.norm.isf((1 - LEVEL) / 2 / theory.size)
    np.testing.assert_allclose(found.mean(axis=-1), theory, rtol=z * np.sqrt(2 / found.shape[-1]))


def test_robbins_monro_reaches_one_over_k_in_the_strongly_convex_case():
    """The notes: "Sufficient condition for SGD convergence Σε = ∞, Σε² < ∞"; "in the strongly convex
    case it is O(1/k)".

    With ε_k = 1/(λk), θ_k is minus the mean of k noises over λ: E J = σ²/(2λk) exactly, a slope of -1.
    16 groups of 256 runs give an interval of it.
    """
    assert HARMONIC.check().holds
    found = excess(HARMONIC, [1.0], [1.0], STEPS, RUNS, SEED)
    np.testing.assert_allclose(
        expected_excess(HARMONIC, [1.0], [1.0], STEPS)[:, 0], 0.5 / np.array(STEPS), rtol=1e-12
    )
    assert_as_told(found, 0.5 / np.array(STEPS)[:, None])
    low, high = interval(slopes(STEPS, in_groups(found[:, 0])))
    assert low <= -1 <= high
    assert high - low < 0.1


def test_one_over_k_needs_a_c_that_is_large_enough():
    """c/k with cλ > 1/2 gives O(1/k); with less k^-2cλ, since Π(1 - cλ/j)² falls no faster.

    cλ = 2 has the constant c²λ/(2 (2cλ-1)) = 2/3; cλ = 1/4 the slope -1/2. Both up to O(1/k),
    relative: below 10% from k = 32 on.
    """
    rates = [2.0, 0.25]
    theory = expected_excess(HARMONIC, rates, [1.0, 1.0], STEPS)
    assert_as_told(excess(HARMONIC, rates, [1.0, 1.0], STEPS, RUNS, SEED + 1), theory)
    np.testing.assert_allclose(theory[:, 0] * STEPS, 2 / 3, rtol=0.1)
    late = slice(STEPS.index(512), None)
    assert abs(slopes(STEPS[late], theory[late, 0]) + 1) < 0.05
    assert abs(slopes(STEPS[late], theory[late, 1]) + 0.5) < 0.05


def test_convex_problems_take_one_over_the_root_of_k():
    """The notes: "SGD is applied to a convex problem: O(1/√k)".

    The class of all ½λθ², 0 < λ ≤ 1, is convex, and not uniformly strongly so: its rate is that of the
    worst λ. With a rate 1/√k for all of k steps the start is forgotten as max ½λ exp(-2λ√k) =
    1/(4e√k), and noise leaves at most ½λkε² = λ/2 where λ ≤ 1/√k, ε/4 where λ = 1: all fall as 1/√k.
    """
    rates = [1.0] * len(CURVATURES)
    theory = []
    for k in STEPS:
        schedule = constant(k**-0.5)
        theory.append(expected_excess(schedule, rates, CURVATURES, [k]))
        if k <= 512:
            assert_as_told(excess(schedule, rates, CURVATURES, [k], 512, SEED + k), theory[-1])
    assert abs(slopes(STEPS, np.concatenate(theory).max(axis=1)) + 0.5) < 0.05


def test_decaying_rates_have_a_logarithm_more_in_the_convex_case():
    """Without knowing k, ε_k = 1/√k gathers noise Σε² = ln k where λ ≈ 1/Σε = 1/(2√k): O(ln k/√k).

    So √k times the worst excess rises, and by no more than ln k does. With ε_k = 1/k the worst λ has
    hardly begun to forget its start: 1/(4eΣε), Σε = ln k + 0.58, which is no power of k.
    """
    rates = [1.0] * len(CURVATURES)
    root = expected_excess(inverse_sqrt(1.0), rates, CURVATURES, STEPS).max(axis=1) * np.sqrt(STEPS)
    assert (np.diff(root) > 0).all()
    assert (np.diff(root / np.log(STEPS)) < 0).all()
    harmonic = expected_excess(HARMONIC, rates, CURVATURES, STEPS).max(axis=1)
    assert (harmonic >= 0.95 / (4 * np.e * (np.log(STEPS) + 0.58))).all()


def test_a_constant_rate_stops_at_a_floor_in_proportion_to_it():
    """The notes: "Gradient does not vanish even when arrive at a minimum", "too large, the next point
    will perpetually bounce haphazardly across the bottom of the well".

    E θ² = (1 - ελ)² E θ² + ε²σ² has the fixed point εσ²/(λ (2 - ελ)), so the floor of the excess
    error is εσ²/(2 (2 - ελ)): ε σ²/4 for small ε. The start is forgotten as (1 - ελ)^2k: below 10⁻⁶
    after 400 steps for ε ≥ 0.02.
    """
    steps = [400, 800, 1200]
    rates = np.array([0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5])
    assert not constant().check().holds
    found = excess(constant(), rates.tolist(), [1.0] * len(rates), steps, RUNS, SEED + 3)
    assert_as_told(found, np.broadcast_to(floor(rates), (len(steps), len(rates))))
    small = rates <= 0.1
    assert abs(slopes(rates[small], found[-1].mean(axis=-1)[small]) - 1) < 0.1


def test_without_noise_a_constant_rate_is_enough():
    """The notes: "True gradient of total cost function becomes small and then 0. We can use a fixed
    learning rate": the recursion without ε²σ² falls to nothing, (1 - ελ)^2k.
    """
    theta = torch.ones(3, dtype=torch.float64)
    for _ in range(100):
        eager.step(rules.sgd(), [theta], [theta.clone()], [{}], eager.hyper_tensors({"lr": 0.1}))
    np.testing.assert_allclose(theta.numpy(), 0.9**100, rtol=1e-12)
