"""Schedules by name, for a training of known length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ravine.errors import SettingError, UnknownNameError
from ravine.schedules._checks import steps_of
from ravine.schedules._decays import (
    cosine,
    cosine_restarts,
    exponential,
    inverse_sqrt,
    inverse_time,
    linear,
    polynomial,
    step,
)
from ravine.schedules._pieces import join
from ravine.schedules._schedule import Schedule, constant
from ravine.schedules._warmup import one_cycle, warmup, warmup_stable_decay

WARMED = "warmup+"
"""In front of a name: 5% of the steps are a ramp, and the schedule gets the rest."""


def _trapezoid(steps: int) -> Schedule:
    rise, fall = _warmup_steps(steps), max(1, steps // 5)
    return warmup_stable_decay(rise, max(0, steps - rise - fall), fall)


NAMES: Mapping[str, Callable[[int], Schedule]] = {
    "constant": lambda steps: constant(),
    "linear": linear,  # to 1%
    "cosine": cosine,  # to 0
    "cosine_restarts": lambda steps: cosine_restarts(math.ceil(steps / 7), growth=2),  # 1 + 2 + 4
    "exponential": lambda steps: exponential(math.log(100) / steps),  # to 1%
    "inverse_sqrt": lambda steps: inverse_sqrt(99 / steps),  # to 10%
    "inverse_time": lambda steps: inverse_time(9 / steps),  # to 10%
    "one_cycle": one_cycle,  # peak at 30%; needs 4 steps
    "polynomial": lambda steps: polynomial(steps, power=2),  # to 0
    "step": lambda steps: step(math.ceil(steps / 3)),  # by 10 after each third
    "warmup_stable_decay": _trapezoid,  # 5% up, 75% level, 20% down to 0
}
"""Schedules for the command line: the number of training steps T -> schedule."""


def named(text: str, steps: int) -> Schedule:
    """The schedule of a name for a training of `steps` updates.

    Args:
        text: a key of `NAMES`; or "warmup+" and such a key: a ramp over 5% of the steps (at least
            one), in front of that schedule for the rest of them.
        steps: T, >= 1; with a warmup, >= 2.

    Raises:
        UnknownNameError: there is none of that name.
        SettingError: the name or a part of it is empty; fewer steps than the schedule needs.
    """
    steps = steps_of("steps", steps)
    if "" in text.split("+"):
        raise SettingError(
            f"--schedule {text!r} has an empty part; expected the name of a schedule, or one behind "
            "warmup+, e.g. warmup+cosine"
        )
    name = text.removeprefix(WARMED)
    if name not in NAMES:
        raise UnknownNameError.of("schedule", name, NAMES, "ravine schedules")
    if name == text:
        return NAMES[name](steps)
    if steps == 1:
        raise SettingError(f"{text} came with steps=1; a warmup in front needs 2 steps or more.")
    rise = _warmup_steps(steps)
    return join([warmup(rise), NAMES[name](steps - rise)], [rise])


def _warmup_steps(steps: int) -> int:
    return max(1, steps // 20)
