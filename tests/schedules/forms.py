"""The table of schedules that tests run through: each with its closed form in NumPy and its truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.schedules import (
    Schedule,
    constant,
    cosine,
    cosine_restarts,
    exponential,
    function,
    inverse_sqrt,
    inverse_time,
    join,
    linear,
    one_cycle,
    one_cycle_momentum,
    piecewise,
    polynomial,
    ramp,
    step,
    sutskever_momentum,
    warmup,
    warmup_stable_decay,
)

Array = NDArray[np.float64]

STEPS = 10_000
K = np.arange(STEPS, dtype=float)


@dataclass(frozen=True)
class Form:
    """A schedule, what it is as a function of all steps, and whether Σε = ∞ and Σε² < ∞."""

    schedule: Schedule
    closed: Callable[[Array], Array]
    truth: tuple[bool, bool]


def harmonic(k: int) -> float:
    return 1 / (k + 1)


def restarts(k: Array, first: int, growth: int, final: float) -> Array:
    """Every period looked up among the sums of all lengths."""
    lengths = first * growth ** np.arange(STEPS if growth == 1 else 20)
    ends = np.cumsum(lengths)
    period = np.searchsorted(ends, k, side="right")
    into = k - (ends - lengths)[period]
    return final + (1 - final) * np.cos(np.pi * into / lengths[period] / 2) ** 2


def cycle(k: Array, steps: int, rise: float, values: tuple[float, float, float]) -> Array:
    """sin² up and cos² down."""
    first, middle, last = values
    turn, end = rise * steps - 1, steps - 1
    up = first + (middle - first) * np.sin(np.pi / 2 * np.clip(k / turn, 0, 1)) ** 2
    down = (
        middle + (last - middle) * np.sin(np.pi / 2 * np.clip((k - turn) / (end - turn), 0, 1)) ** 2
    )
    return np.where(k <= turn, up, down)


def trapezoid(k: Array, corners: list[float], values: list[float]) -> Array:
    return np.interp(k, corners, values)


FLAT, FALLEN, HOLDS = (True, False), (False, True), (True, True)
"""(Σε = ∞, Σε² < ∞) where ε stays away from 0, falls too fast, and in between."""

FORMS = [
    Form(constant(), lambda k: np.ones_like(k), FLAT),
    Form(constant(0.3), lambda k: np.full_like(k, 0.3), FLAT),
    Form(constant(0), np.zeros_like, FALLEN),
    Form(linear(7000), lambda k: np.interp(k, [0, 7000], [1, 0.01]), FLAT),
    Form(linear(1), lambda k: np.where(k < 1, 1, 0.01), FLAT),
    Form(linear(7000, final=0), lambda k: np.interp(k, [0, 7000], [1, 0]), FALLEN),
    Form(
        polynomial(7000, power=3, final=0.1),
        lambda k: 0.1 + 0.9 * np.clip((7000 - k) / 7000, 0, 1) ** 3,
        FLAT,
    ),
    Form(polynomial(7000), lambda k: np.clip((7000 - k) / 7000, 0, 1) ** 2, FALLEN),
    Form(cosine(7000), lambda k: np.cos(np.pi / 2 * np.minimum(k / 7000, 1)) ** 2, FALLEN),
    Form(
        cosine(7000, final=0.2),
        lambda k: 0.2 + 0.8 * np.cos(np.pi / 2 * np.minimum(k / 7000, 1)) ** 2,
        FLAT,
    ),
    Form(cosine_restarts(300), lambda k: restarts(k, 300, 1, 0), FLAT),
    Form(cosine_restarts(1), np.ones_like, FLAT),
    Form(
        cosine_restarts(10, growth=2, final=0.1),
        lambda k: restarts(k, 10, 2, 0.1),
        FLAT,
    ),
    Form(cosine_restarts(3, growth=3), lambda k: restarts(k, 3, 3, 0), FLAT),
    Form(step(300, factor=0.5), lambda k: np.exp2(-(k // 300)), FALLEN),
    Form(exponential(0.01), lambda k: np.exp(-0.01) ** k, FALLEN),
    Form(inverse_time(0.01), lambda k: 100 / (100 + k), HOLDS),
    Form(inverse_sqrt(0.25), lambda k: 2 / (4 + k) ** 0.5, FLAT),
    Form(warmup(400), lambda k: np.clip((k + 1) / 400, 0, 1), FLAT),
    Form(warmup(1), np.ones_like, FLAT),
    Form(
        warmup_stable_decay(500, 6000, 2000, final=0.05),
        lambda k: trapezoid(k, [-1, 499, 6500, 8500], [0, 1, 1, 0.05]),
        FLAT,
    ),
    Form(
        warmup_stable_decay(500, 0, 2000),
        lambda k: trapezoid(k, [-1, 499, 500, 2500], [0, 1, 1, 0]),
        FALLEN,
    ),
    Form(
        one_cycle(8000),
        lambda k: cycle(k, 8000, 0.3, (1 / 25, 1, 1 / 250_000)),
        FLAT,
    ),
    Form(
        one_cycle(8001, rise=0.45, start=0.2, final=0),
        lambda k: cycle(k, 8001, 0.45, (0.2, 1, 0)),
        FALLEN,
    ),
    Form(
        one_cycle_momentum(8000),
        lambda k: cycle(k, 8000, 0.3, (0.95, 0.85, 0.95)),
        FLAT,
    ),
    Form(
        piecewise([100, 2000, 5000], [0.1, 1, 0.5, 0]),
        lambda k: np.select([k < 100, k < 2000, k < 5000], [0.1, 1, 0.5], 0.0),
        FALLEN,
    ),
    Form(piecewise([], [0.7]), lambda k: np.full_like(k, 0.7), FLAT),
    Form(ramp(0.5, 0.99, 1000), lambda k: np.interp(k, [0, 1000], [0.5, 0.99]), FLAT),
    Form(
        sutskever_momentum(0.98),
        lambda k: np.minimum(1 - np.exp2(-1 - np.log2(np.floor(k / 250) + 1)), 0.98),
        FLAT,
    ),
    Form(function(harmonic, "harmonic", tail=1), lambda k: 1 / (k + 1), HOLDS),
    # Put together
    Form(
        warmup(400) * cosine(7000),
        lambda k: np.clip((k + 1) / 400, 0, 1) * np.cos(np.pi / 2 * np.minimum(k / 7000, 1)) ** 2,
        FALLEN,
    ),
    Form(
        join([warmup(400), cosine(6600)], [400]),
        lambda k: np.where(
            k < 400, (k + 1) / 400, np.cos(np.pi / 2 * np.clip((k - 400) / 6600, 0, 1)) ** 2
        ),
        FALLEN,
    ),
    Form(
        join([warmup(400), inverse_sqrt(1 / 400)], [399]),  # the Transformer's
        lambda k: np.minimum((k + 1) ** -0.5, (k + 1) * 400**-1.5) * 20,
        FLAT,
    ),
    Form(
        join([cosine(500), inverse_time(0.1), step(10)], [500, 3000]) * 0.1,
        lambda k: (
            0.1
            * np.select(
                [k < 500, k < 3000],
                [np.cos(np.pi / 1000 * k) ** 2, 1 / (1 + 0.1 * np.maximum(k - 500, 0))],
                0.1 ** (np.maximum(k - 3000, 0) // 10),
            )
        ),
        FALLEN,
    ),
    Form(
        inverse_sqrt(0.1) * inverse_sqrt(0.2),
        lambda k: ((1 + 0.1 * k) * (1 + 0.2 * k)) ** -0.5,
        HOLDS,
    ),
    Form(
        inverse_sqrt(0.1) * inverse_time(0.2),
        lambda k: (1 + 0.1 * k) ** -0.5 / (1 + 0.2 * k),
        FALLEN,
    ),
    Form(
        0.1 * warmup(100) * inverse_time(0.01) * cosine_restarts(50, growth=2),
        lambda k: 0.1 * np.minimum((k + 1) / 100, 1) / (1 + 0.01 * k) * restarts(k, 50, 2, 0),
        HOLDS,
    ),
    Form(
        inverse_time(0.01) * linear(7000, final=0),
        lambda k: np.interp(k, [0, 7000], [1, 0]) / (1 + 0.01 * k),
        FALLEN,
    ),
    Form(
        join([constant(), inverse_time(1)], [100]),
        lambda k: np.where(k < 100, 1, 1 / (1 + np.maximum(k - 100, 0))),
        HOLDS,
    ),
    Form(
        join([inverse_time(1), constant()], [100]),
        lambda k: np.where(k < 100, 1 / (1 + k), 1),
        FLAT,
    ),
]


def values(schedule: Schedule, steps: int = STEPS) -> Array:
    """The schedule at the first steps."""
    return np.array([schedule(k) for k in range(steps)])
