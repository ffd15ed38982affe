"""Initializers that take their scale from the layer's fans, so that variances are kept."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.initializers._distributions import (
    standard_normal,
    standard_truncated,
    standard_uniform,
)
from ravine.initializers._fans import Fans, fans_of_shape
from ravine.initializers._initializer import Initializer, Setting, insist_on_positive

MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")

TRUNCATED_STDDEV = 0.87962566103423978
"""Standard deviation of N(0, 1) cut at ±2: √(1 - 4 φ(2) / (2 Φ(2) - 1))."""


def variance_scaling(
    scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal"
) -> Initializer:
    r"""Mean 0 and the variance v = scale / n, where n is fan_in, fan_out or their mean.

        truncated_normal       N(0, v / 0.8796²) cut at two of its standard deviations
        untruncated_normal     N(0, v)
        uniform                U(-√(3v), √(3v))

    Args:
        scale: the variance times n. mode: "fan_in", "fan_out" or "fan_avg".
        distribution: one of the three above; all have the variance v.

    Raises:
        SettingError: scale ≤ 0, or an unknown mode or distribution.

    Source: Keras's VarianceScaling.
    """
    insist_on_positive("variance_scaling", scale=scale)
    for key, value, known in (("mode", mode, MODES), ("distribution", distribution, DISTRIBUTIONS)):
        if value not in known:
            raise SettingError(f"variance_scaling({key}={value!r}); expected {' or '.join(known)}")
    settings: dict[str, Setting] = {"scale": scale, "mode": mode, "distribution": distribution}
    return Initializer("variance_scaling", settings, _scaled)


def lecun_normal() -> Initializer:
    """Truncated normal of variance 1/fan_in: a linear unit's output varies as its inputs do.

    Source: LeCun, Bottou, Orr & Müller, "Efficient BackProp", 1998, equation 16.
    """
    return _named("lecun_normal", 1.0, "fan_in", "truncated_normal", linear=True)


def lecun_uniform() -> Initializer:
    """U(-r, r) with r = √(3/fan_in), of variance 1/fan_in.

    Source: LeCun, Bottou, Orr & Müller 1998, equation 16.
    """
    return _named("lecun_uniform", 1.0, "fan_in", "uniform", linear=True)


def glorot_normal() -> Initializer:
    """Truncated normal of variance 2/(fan_in + fan_out), also called Xavier.

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", AISTATS 2010, equation 12.
    """
    return _named("glorot_normal", 1.0, "fan_avg", "truncated_normal", linear=True)


def glorot_uniform() -> Initializer:
    """Normalized initialization: U(-r, r) with r = √(6/(fan_in + fan_out)), also called Xavier.

    A compromise: 1/fan_in keeps the variance of activations, 1/fan_out that of gradients.

    Source: Glorot & Bengio 2010, equation 16.
    """
    return _named("glorot_uniform", 1.0, "fan_avg", "uniform", linear=True)


def he_normal() -> Initializer:
    """Truncated normal of variance 2/fan_in: a ReLU halves the second moment, the 2 makes up for it.

    Source: He, Zhang, Ren & Sun, "Delving Deep into Rectifiers", ICCV 2015, equation 10.
    """
    return _named("he_normal", 2.0, "fan_in", "truncated_normal")


def he_uniform() -> Initializer:
    """U(-r, r) with r = √(6/fan_in), of variance 2/fan_in.

    Source: He, Zhang, Ren & Sun 2015, equation 10.
    """
    return _named("he_uniform", 2.0, "fan_in", "uniform")


def uniform_fan_in() -> Initializer:
    """The common heuristic U(-r, r) with r = 1/√fan_in, of variance 1/(3 fan_in).

    A linear unit's output has a third of its inputs' variance. torch's Linear and Conv start so.

    Source: Glorot & Bengio 2010, equation 1.
    """
    return _named("uniform_fan_in", 1 / 3, "fan_in", "uniform", linear=True)


def _named(
    name: str, scale: float, mode: str, distribution: str, linear: bool = False
) -> Initializer:
    """Variance scaling under a name of its own."""
    draw = partial(_scaled, scale=scale, mode=mode, distribution=distribution)
    return Initializer(name, {}, draw, linear)


def _scaled(
    shape: torch.Size,
    generator: torch.Generator | None,
    fans: Fans | None,
    *,
    scale: float,
    mode: str,
    distribution: str,
) -> Tensor:
    """Every initializer of this file."""
    stddev = math.sqrt(scale / _count(fans or fans_of_shape(shape), mode))
    if distribution == "truncated_normal":
        return stddev / TRUNCATED_STDDEV * standard_truncated(shape, generator)
    if distribution == "untruncated_normal":
        return stddev * standard_normal(shape, generator)
    return stddev * math.sqrt(3) * (2 * standard_uniform(shape, generator) - 1)


def _count(fans: Fans, mode: str) -> float:
    if mode == "fan_avg":
        return (fans.fan_in + fans.fan_out) / 2
    return fans.fan_in if mode == "fan_in" else fans.fan_out
