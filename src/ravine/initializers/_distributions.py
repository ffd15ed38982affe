"""Distributions of a fixed scale: constants, normal, uniform, truncated normal."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.initializers._fans import Fans
from ravine.initializers._initializer import (
    Initializer,
    insist_on_finite,
    insist_on_positive,
)

_BELOW_TWO = torch.special.ndtr(torch.tensor(2.0, dtype=torch.float64)).item()
"""Φ(2), the share of a normal distribution below two standard deviations."""


def zeros() -> Initializer:
    """All 0. Hidden units with equal weights stay equal, so this is for biases and output layers."""
    return Initializer("zeros", {}, _zeros)


def ones() -> Initializer:
    """All 1: the scale of a normalization layer."""
    return Initializer("ones", {}, _ones)


def constant(value: float = 0.0) -> Initializer:
    """All equal to `value`.

    Raises:
        SettingError: `value` is not a finite number.
    """
    insist_on_finite("constant", value=value)
    return Initializer("constant", {"value": value}, _constant)


def random_normal(mean: float = 0.0, stddev: float = 0.05) -> Initializer:
    """Normal: N(mean, stddev²).

    Raises:
        SettingError: a setting is not finite, or stddev ≤ 0.
    """
    insist_on_finite("random_normal", mean=mean)
    insist_on_positive("random_normal", stddev=stddev)
    return Initializer("random_normal", {"mean": mean, "stddev": stddev}, _random_normal)


def random_uniform(minval: float = -0.05, maxval: float = 0.05) -> Initializer:
    """Uniform: U(minval, maxval).

    Raises:
        SettingError: a setting is not finite, or minval ≥ maxval.
    """
    insist_on_finite("random_uniform", minval=minval, maxval=maxval)
    if minval >= maxval:
        raise SettingError(
            f"random_uniform(minval={minval!r}, maxval={maxval!r}); expected minval below maxval"
        )
    return Initializer("random_uniform", {"minval": minval, "maxval": maxval}, _random_uniform)


def truncated_normal(mean: float = 0.0, stddev: float = 0.05) -> Initializer:
    """N(mean, stddev²) given that |x - mean| ≤ 2 stddev.

    Its bounds are relative to its scale; those of `torch.nn.init.trunc_normal_`, -2 and 2 by
    default, are absolute. Its standard deviation is 0.8796 stddev, as in Keras: stddev is that of
    the normal distribution before it is cut.

    Raises:
        SettingError: a setting is not finite, or stddev ≤ 0.
    """
    insist_on_finite("truncated_normal", mean=mean)
    insist_on_positive("truncated_normal", stddev=stddev)
    return Initializer("truncated_normal", {"mean": mean, "stddev": stddev}, _truncated_normal)


def standard_normal(shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Float64 draws of N(0, 1)."""
    return torch.randn(shape, generator=generator, dtype=torch.float64, device=device_of(generator))


def standard_uniform(shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Float64 draws of U(0, 1)."""
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=device_of(generator))


def standard_truncated(shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Float64 draws of N(0, 1) given |x| ≤ 2: one uniform number each, through the inverse of Φ."""
    above = 1 - _BELOW_TWO
    share = above + (_BELOW_TWO - above) * standard_uniform(shape, generator)
    drawn: Tensor = torch.special.ndtri(share)
    return drawn.clamp(-2.0, 2.0)


def device_of(generator: torch.Generator | None) -> torch.device:
    """Where a generator draws."""
    return torch.device("cpu") if generator is None else generator.device


def _zeros(shape: torch.Size, generator: torch.Generator | None, fans: Fans | None) -> Tensor:
    return _constant(shape, generator, fans, value=0.0)


def _ones(shape: torch.Size, generator: torch.Generator | None, fans: Fans | None) -> Tensor:
    return _constant(shape, generator, fans, value=1.0)


def _constant(
    shape: torch.Size, generator: torch.Generator | None, fans: Fans | None, *, value: float
) -> Tensor:
    return torch.full(shape, value, dtype=torch.float64, device=device_of(generator))


def _random_normal(
    shape: torch.Size,
    generator: torch.Generator | None,
    fans: Fans | None,
    *,
    mean: float,
    stddev: float,
) -> Tensor:
    return mean + stddev * standard_normal(shape, generator)


def _random_uniform(
    shape: torch.Size,
    generator: torch.Generator | None,
    fans: Fans | None,
    *,
    minval: float,
    maxval: float,
) -> Tensor:
    return minval + (maxval - minval) * standard_uniform(shape, generator)


def _truncated_normal(
    shape: torch.Size,
    generator: torch.Generator | None,
    fans: Fans | None,
    *,
    mean: float,
    stddev: float,
) -> Tensor:
    return mean + stddev * standard_truncated(shape, generator)
