"""Schedules put together one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from ravine.errors import SettingError
from ravine.schedules._checks import boundaries_of, value_of
from ravine.schedules._schedule import Schedule, fading


def piecewise(boundaries: Sequence[int], values: Sequence[float]) -> Schedule:
    """Constant between boundaries.

        ε_k = values[i]         boundaries[i-1] <= k < boundaries[i]

    Args:
        boundaries: the steps at which values[1], values[2], ... begin; rising, from 1 on.
        values: factors, or the values themselves; one more than boundaries, all >= 0.

    Raises:
        SettingError: they do not fit together, or a value is negative or not finite.
    """
    starts = boundaries_of(boundaries, values, "values")
    found = tuple(value_of(f"values[{i}]", value) for i, value in enumerate(values))
    text = f"piecewise({list(starts)}, {list(found)})"
    return Schedule("piecewise", _piecewise, (starts, found), fading(found[-1]), text)


def join(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other, each from its own step 0 on.

        ε_k = schedules[i](k - boundaries[i-1])         boundaries[i-1] <= k < boundaries[i]

    Args:
        schedules: what follows each other.
        boundaries: the steps at which the second begins, the third, ...; rising, from 1 on, one
            fewer than schedules.

    Raises:
        SettingError: they do not fit together, or one is no schedule.

    Source: optax.join_schedules; torch's SequentialLR.
    """
    starts = boundaries_of(boundaries, schedules, "schedules")
    for index, schedule in enumerate(schedules):
        if not isinstance(schedule, Schedule):
            raise SettingError(
                f"schedules[{index}]={schedule!r} is no schedule: make one of it, "
                "schedules.constant(value) or schedules.function(f, name)."
            )
    return Schedule(
        name="+".join(schedule.name for schedule in schedules),
        formula=_joined,
        settings=(tuple(schedules), starts),
        tail=schedules[-1].tail,
        text=f"join({list(schedules)}, {list(starts)})",
    )


def _piecewise(step: int, starts: tuple[int, ...], values: tuple[float, ...]) -> float:
    return values[bisect_right(starts, step)]


def _joined(step: int, schedules: tuple[Schedule, ...], starts: tuple[int, ...]) -> float:
    piece = bisect_right(starts, step)
    return schedules[piece](step - (0, *starts)[piece])
