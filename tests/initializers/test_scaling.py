"""Initializers scaled by fans, against the variances that the papers state."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from ravine.errors import SettingError
from ravine.initializers import Fans, get, variance_scaling
from ravine.initializers._scaling import DISTRIBUTIONS, TRUNCATED_STDDEV
from ravine.seeds import generator

SHAPE = (400, 2500)  # fan_out, fan_in; 10⁶ draws
FAN_OUT, FAN_IN = SHAPE
VARIANCES = {
    "lecun_normal": 1 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "glorot_uniform": 2 / (FAN_IN + FAN_OUT),
    "he_normal": 2 / FAN_IN,
    "he_uniform": 2 / FAN_IN,
    "uniform_fan_in": 1 / (3 * FAN_IN),
}
MODES = {"fan_in": FAN_IN, "fan_out": FAN_OUT, "fan_avg": (FAN_IN + FAN_OUT) / 2}


def law(variance: float, distribution: str):
    """The distribution of that variance, from its own formula."""
    if distribution == "uniform":
        r = math.sqrt(3 * variance)
        return stats.uniform(-r, 2 * r)
    if distribution == "untruncated_normal":
        return stats.norm(0, math.sqrt(variance))
    scale = math.sqrt(variance / stats.truncnorm(-2, 2).var())
    return stats.truncnorm(-2, 2, 0, scale)


def check(sample: torch.Tensor, expected) -> None:
    """The variance's standard error is at most 0.15% (√(2/10⁶)); √n D < 2.2 as for the others."""
    values = sample.numpy().ravel()
    assert values.var() == pytest.approx(expected.var(), rel=0.01)
    assert abs(values.mean()) < 5 * math.sqrt(expected.var() / values.size)
    some = values[:200_000]
    assert math.sqrt(some.size) * stats.kstest(some, expected.cdf).statistic < 2.2


@pytest.mark.parametrize("name", VARIANCES)
def test_variance_and_distribution(name: str) -> None:
    distribution = "truncated_normal" if name.endswith("_normal") else "uniform"
    sample = get(name)(SHAPE, generator(0), dtype=torch.float64)
    check(sample, law(VARIANCES[name], distribution))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("mode", MODES)
def test_variance_scaling(mode: str, distribution: str) -> None:
    sample = variance_scaling(0.7, mode, distribution)(SHAPE, generator(1), dtype=torch.float64)
    check(sample, law(0.7 / MODES[mode], distribution))


def test_the_bounds_of_normalized_initialization() -> None:
    """±√(6/(m+n)) and ±1/√n. One of 10⁶ uniform draws is within 10⁻⁴ of each end, surely."""
    for name, bound in (
        ("glorot_uniform", math.sqrt(6 / (FAN_IN + FAN_OUT))),
        ("uniform_fan_in", 1 / math.sqrt(FAN_IN)),
    ):
        sample = get(name)(SHAPE, generator(0), dtype=torch.float64)
        assert bound * (1 - 1e-4) < sample.max() <= bound
        assert -bound <= sample.min() < -bound * (1 - 1e-4)


def test_given_fans_hold_in_place_of_the_shapes() -> None:
    drawn = get("he_normal")(SHAPE, generator(0), dtype=torch.float64)
    scaled = get("he_normal")(SHAPE, generator(0), fans=Fans(25, 1), dtype=torch.float64)
    assert torch.allclose(scaled, 10 * drawn, rtol=1e-12, atol=0)
    assert get("he_normal")((7,), fans=Fans(3, 7)).shape == (7,)


def test_the_spread_of_a_truncated_normal() -> None:
    assert pytest.approx(stats.truncnorm(-2, 2).std(), rel=1e-12) == TRUNCATED_STDDEV


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": 0.0}, "scale=0.0.*above 0"),
        ({"mode": "fan"}, "mode='fan'.*expected fan_in or fan_out or fan_avg"),
        ({"distribution": "normal"}, "distribution='normal'.*truncated_normal or"),
    ],
)
def test_impossible_settings_are_refused(settings, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        variance_scaling(**settings)
