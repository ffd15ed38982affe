"""The numbers that schedules are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

from ravine.errors import SettingError


def steps_of(shown: str, value: Any, least: int = 1) -> int:
    """A number of steps.

    Raises:
        SettingError: it is no whole number, or less than `least`.
    """
    number = _number(value)
    if not least <= number < math.inf or number != int(number):
        raise SettingError(
            f"{shown}={value!r} is out of range; it must be a whole number >= {least}."
        )
    return int(number)


def value_of(shown: str, value: Any, most: float = math.inf) -> float:
    """A value or factor from 0 to `most`.

    Raises:
        SettingError: it is no finite number in this range.
    """
    number = _number(value)
    if not 0 <= number <= most or number == math.inf:
        allowed = "a finite number >= 0" if most == math.inf else f"in [0, {most:g}]"
        raise SettingError(f"{shown}={value!r} is out of range; it must be {allowed}.")
    return number


def positive(shown: str, value: Any, below: float = math.inf) -> float:
    """A number between 0 and `below`, both excluded.

    Raises:
        SettingError: it is none.
    """
    number = _number(value)
    if not 0 < number < below:
        allowed = "a finite number > 0" if below == math.inf else f"in (0, {below:g})"
        raise SettingError(f"{shown}={value!r} is out of range; it must be {allowed}.")
    return number


def boundaries_of(boundaries: Sequence[int], pieces: Sequence[Any], called: str) -> tuple[int, ...]:
    """The steps at which the second piece begins, the third, ...

    Args:
        boundaries: as they came.
        pieces: what they lie between.
        called: what a piece is called.

    Raises:
        SettingError: there are not one fewer of them than pieces, or they do not rise from 1 on.
    """
    if not pieces or len(boundaries) != len(pieces) - 1:
        raise SettingError(
            f"{len(boundaries)} boundaries came with {len(pieces)} {called}; n boundaries lie "
            f"between n + 1 {called}, such as boundaries=[100] between two."
        )
    found = tuple(steps_of(f"boundaries[{i}]", step) for i, step in enumerate(boundaries))
    if list(found) != sorted(set(found)):
        raise SettingError(f"boundaries={list(boundaries)} must rise from one to the next.")
    return found


def _number(value: Any) -> float:
    """NaN, which lies in no range, if it is none."""
    return float(value) if isinstance(value, Real) else math.nan
