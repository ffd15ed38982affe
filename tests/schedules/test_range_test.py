"""The range test: on quadratics whose largest stable rate is known, with spikes, NaN, and no signal."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ravine.errors import SettingError
from ravine.schedules import range_test, suggest

CURVATURES = np.array([1.0, 10.0, 50.0])
STABLE = 2 / CURVATURES.max()
GRID = 10 ** (8 / 99)
"""From one rate of the default range to the next."""
RATES = np.geomspace(1e-7, 10.0, 100)


def after_one_step(rate: float) -> float:
    """The quadratic's loss, one step from (1, 1, 1) on."""
    return float(np.sum(CURVATURES * (1 - rate * CURVATURES) ** 2) / 2)


def training(noise: float, seed: int = 0) -> Callable[[float], float]:
    """Steps on the quadratic that go on from each other, their gradients with noise."""
    theta, generator = np.ones(3), np.random.default_rng(seed)

    def step(rate: float) -> float:
        nonlocal theta
        loss = float(np.sum(CURVATURES * theta**2) / 2)
        gradient = CURVATURES * theta + noise * generator.standard_normal(3)
        theta = theta - rate * gradient
        return loss

    return step


LOSSES = np.array([after_one_step(rate) for rate in RATES])


def test_divergence_is_found_at_the_largest_stable_rate() -> None:
    """One step from a fixed start grows the steepest part by (1 - 2λ/λ)² = 1 at 2/λ.

    Four times the best so far, which is the loss at about 1/λ, is passed between 2/λ and 3/λ.
    """
    found = range_test(after_one_step)
    assert found.lr is not None
    assert found.lowest_at is not None
    assert found.diverged_at is not None
    assert STABLE <= found.diverged_at <= 1.5 * STABLE * GRID
    assert found.lowest_at == pytest.approx(RATES[LOSSES.argmin()], rel=GRID**2 - 1)
    slope = np.gradient(LOSSES, np.log(RATES))
    assert found.lr == pytest.approx(RATES[slope.argmin()], rel=GRID**3 - 1)
    assert found.lr < found.lowest_at < STABLE


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_training_run(noise: float, seed: int) -> None:
    """What is suggested is stable, and within two decades of 2/λ; what diverged is not stable."""
    found = range_test(training(noise, seed))
    assert found.lr is not None
    assert found.diverged_at is not None
    assert STABLE / 100 < found.lr < STABLE < found.diverged_at
    assert len(found.losses) < 100


@pytest.mark.parametrize("steps", [30, 31, 33, 40, 60])
@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(10))
def test_the_fewest_steps_that_are_accepted_are_enough(steps: int, noise: float, seed: int) -> None:
    """As above. With 18 steps one of 81 such tests says so, with 22 there are 72, from 24 on all."""
    found = range_test(training(noise, seed), steps=steps)
    assert found.lr is not None
    assert found.diverged_at is not None
    assert STABLE / 100 < found.lr < STABLE < found.diverged_at


def test_a_test_that_ends_early_has_as_many_losses_as_it_took() -> None:
    found = range_test(lambda rate: after_one_step(rate) if rate < 1e-4 else math.inf, steps=30)
    assert 10 <= len(found.losses) < 30
    rates = np.geomspace(1e-7, 10, 30)
    assert found.diverged_at == pytest.approx(rates[rates >= 1e-4][0], rel=1e-12)


def spiked(places: list[int], height: float) -> NDArray[np.float64]:
    losses = LOSSES.copy()
    losses[places] = height
    return losses


@pytest.mark.parametrize("height", [1e6, -1e6, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "places", [[40], [0], [3, 20, 41, 60], [50, 51], [50, 51, 52], [10, 30, 50, 55, 58]]
)
def test_spikes_change_nothing(places: list[int], height: float) -> None:
    """Three rates to either side are allowed where spikes hid the steepest; the divergence stays."""
    clean, found = suggest(RATES, LOSSES), suggest(RATES, spiked(places, height))
    assert clean.lr is not None
    assert found.lr is not None
    assert clean.lowest_at is not None
    assert found.lowest_at is not None
    assert found.diverged_at == clean.diverged_at
    assert abs(math.log(found.lr / clean.lr, GRID)) < 3.5
    assert abs(math.log(found.lowest_at / clean.lowest_at, GRID)) < 1.5


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_run_goes_on_after_spikes(last: int) -> None:
    """Up to three in a row do not end it; four do, and are said to be the divergence."""
    calls: list[float] = []

    def step(rate: float) -> float:
        calls.append(rate)
        return 1e9 if 50 <= len(calls) - 1 < 50 + last else 2.0 - 0.01 * len(calls)

    assert range_test(step).diverged_at is None
    assert len(calls) == 100
    assert calls == pytest.approx(list(RATES), rel=1e-12)
    calls.clear()
    found = range_test(
        lambda rate: step(rate) if len(calls) < 50 else calls.append(rate) or math.nan
    )
    assert len(calls) == 54
    assert found.diverged_at == pytest.approx(RATES[50], rel=1e-12)


def test_a_spike_at_the_very_end_is_none() -> None:
    losses = 2 - 0.01 * np.arange(100.0)
    losses[-1] = 1e9
    found = suggest(RATES, losses)
    assert found.diverged_at is None
    assert "go higher" in found.reason


@pytest.mark.parametrize("seed", range(200))
def test_noise_alone_suggests_nothing(seed: int) -> None:
    """A loss that no rate changes; in 2000 such tests none passed the threshold of 4 deviations."""
    generator = np.random.default_rng(seed)
    found = suggest(RATES, 2.3 + 0.1 * generator.standard_normal(100))
    assert found.lr is None
    assert found.lowest_at is None
    assert "no rate made it fall clearly" in found.reason


def test_nothing_to_suggest() -> None:
    flat = suggest(RATES, np.full(100, 2.3))
    assert (flat.lr, flat.diverged_at) == (None, None)
    zero = suggest(RATES, np.zeros(100))
    assert (zero.lr, zero.diverged_at) == (None, None)
    rising = suggest(RATES, np.geomspace(1, 1e5, 100))
    assert rising.lr is None
    assert rising.diverged_at is not None
    nothing = suggest(RATES, np.full(100, math.nan))
    assert nothing.lr is None
    assert nothing.diverged_at == RATES[0]
    assert "begin at a lower one" in nothing.reason
    late = suggest(RATES, np.where(np.arange(100) < 60, 2.3, math.inf))
    assert late.lr is None
    assert late.diverged_at == RATES[60]


def test_losses_below_zero() -> None:
    """A density's negative log-likelihood: the curve, 100 lower, diverges where it is 400 up.

    What it rises until then moves the steepest place by one rate.
    """
    clean, shifted = suggest(RATES, LOSSES), suggest(RATES, LOSSES - 100)
    assert shifted.lr is not None
    assert clean.lr is not None
    assert abs(math.log(shifted.lr / clean.lr, GRID)) < 1.5
    first = np.flatnonzero(LOSSES - LOSSES.min() > 3 * (100 - LOSSES.min()))[0]
    assert shifted.diverged_at == RATES[first]


def test_losses_may_be_tensors() -> None:
    found = range_test(lambda rate: torch.tensor(after_one_step(rate), dtype=torch.float64))
    assert found == range_test(after_one_step)


def test_what_is_refused() -> None:
    for options, message in [
        ({"lowest": 0.0}, r"lowest=0\.0 is out of range"),
        ({"lowest": 1.0, "highest": 0.1}, r"lowest=1 must be below highest=0\.1"),
        ({"highest": math.inf}, r"highest=inf "),
        ({"steps": 29}, r"steps=29 is too few: the running median spans 7.*30 or more; --steps"),
        ({"steps": 0}, r"steps=0 is out of range"),
    ]:
        with pytest.raises(SettingError, match=message):
            range_test(after_one_step, **options)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"\[100\] and losses of shape \[99\]"):
        suggest(RATES, LOSSES[:-1])
    with pytest.raises(SettingError, match="30 or more: the running median spans 7"):
        suggest(RATES[:29], LOSSES[:29])
    with pytest.raises(SettingError, match="rise from one to the next"):
        suggest(RATES[::-1], LOSSES)
