"""Distributions of a fixed scale, against their distribution functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from ravine.errors import SettingError
from ravine.initializers import (
    Initializer,
    constant,
    ones,
    random_normal,
    random_uniform,
    truncated_normal,
    zeros,
)
from ravine.seeds import generator

DRAWS = (1000, 1000)
CASES = {
    "normal": (random_normal(), stats.norm(0, 0.05)),
    "normal moved": (random_normal(mean=3.0, stddev=2.0), stats.norm(3, 2)),
    "uniform": (random_uniform(), stats.uniform(-0.05, 0.1)),
    "uniform moved": (random_uniform(1.0, 5.0), stats.uniform(1, 4)),
    "truncated": (truncated_normal(), stats.truncnorm(-2, 2, 0, 0.05)),
    "truncated moved": (truncated_normal(mean=-1.0, stddev=7.0), stats.truncnorm(-2, 2, -1, 7)),
}


def drawn(initializer: Initializer, seed: int = 0) -> np.ndarray:
    return initializer(DRAWS, generator(seed), dtype=torch.float64).numpy().ravel()


@pytest.mark.parametrize("label", CASES)
def test_draws_follow_the_distribution(label: str) -> None:
    """Kolmogorov-Smirnov: √n D is above 2.2 once in 8000 samples, 2 exp(-2 · 2.2²)."""
    initializer, expected = CASES[label]
    sample = drawn(initializer)
    some = sample[:200_000]
    assert math.sqrt(some.size) * stats.kstest(some, expected.cdf).statistic < 2.2
    assert sample.var() == pytest.approx(expected.var(), rel=0.01)


@pytest.mark.parametrize("stddev", [1e-3, 0.05, 1.0, 30.0])
def test_bounds_of_the_truncated_normal_are_relative_to_its_scale(stddev: float) -> None:
    """Two standard deviations, reached: P(no |x| above 1.999 stddev in 10⁶) = (1 - 1.1e-4)^10⁶."""
    distance = np.abs(drawn(truncated_normal(mean=0.5, stddev=stddev)) - 0.5) / stddev
    assert distance.max() <= 2.0 + 1e-12 / stddev
    assert distance.max() > 1.999


def test_torchs_truncated_normal_is_the_same_given_relative_bounds() -> None:
    """Two samples of 10⁶: √(n/2) D as above."""
    theirs = torch.empty(DRAWS, dtype=torch.float64)
    torch.nn.init.trunc_normal_(theirs, 0.0, 0.05, -0.1, 0.1, generator=generator(1))
    ours = drawn(truncated_normal(stddev=0.05))
    distance = stats.ks_2samp(ours, theirs.numpy().ravel()).statistic
    assert math.sqrt(ours.size / 2) * distance < 2.2


def test_constants() -> None:
    for initializer, value in ((zeros(), 0.0), (ones(), 1.0), (constant(0.1), 0.1)):
        assert torch.equal(initializer((2, 3)), torch.full((2, 3), value))
        assert initializer(()).item() == pytest.approx(value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: constant(math.nan), r"constant\(value=nan\); expected a finite number"),
        (lambda: random_normal(stddev=-1), r"stddev=-1\); expected a number above 0"),
        (lambda: random_normal(mean=math.inf), r"mean=inf\); expected a finite number"),
        (lambda: truncated_normal(stddev=0), r"stddev=0\); expected a number above 0"),
        (lambda: random_uniform(1.0, 1.0), r"expected minval below maxval"),
        (lambda: random_uniform("a"), r"minval='a'\); expected a finite number"),
    ],
)
def test_impossible_settings_are_refused(build, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        build()
