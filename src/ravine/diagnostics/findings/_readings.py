"""Readings summed up: how a run began, where it stands, what persists."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from ravine.diagnostics.history import History

SAME = 1e-5
"""Of an output's size, what is left in float32 of a sum that cancels."""

LAST = 3
"""Measurements that the present is taken from: what was there once does not persist."""


def finite(values: Sequence[float]) -> list[float]:
    """Those that are finite."""
    return [value for value in values if math.isfinite(value)]


def median(values: Sequence[float]) -> float:
    """Of the finite ones; NaN if there is none."""
    kept = finite(values)
    return statistics.median(kept) if kept else math.nan


def first(history: History, quantity: str, place: str = "") -> float:
    """The first measurement; NaN if there is none."""
    values = history.series(quantity, place).values
    return values[0] if values else math.nan


def last(history: History, quantity: str, place: str = "") -> float:
    """The last measurement, of what is measured seldom; NaN if there is none."""
    values = history.series(quantity, place).values
    return values[-1] if values else math.nan


def late(history: History, quantity: str, place: str = "") -> float:
    """Median of the last three measurements; NaN if there are fewer."""
    values = history.series(quantity, place).values
    return median(values[-LAST:]) if len(values) >= LAST else math.nan


def always(history: History, quantity: str, place: str = "") -> bool:
    """Whether it was 1 at every measurement, of three or more."""
    values = history.series(quantity, place).values
    return len(values) >= LAST and all(value == 1 for value in values)


def usual(history: History, quantity: str) -> float:
    """Median of all measurements of the whole run; NaN if there is none."""
    return median(history.series(quantity).values)


def constant_outputs(history: History) -> bool:
    """Whether all examples got the same output, at first and usually: it varied over them by a rounding
    of the largest output, or of what it varied by within an example."""
    stds = history.series("output_std")
    if len(stds) < LAST:
        return False
    means, spreads = dict(history.series("output_mean")), dict(history.series("output_spread"))
    sizes = [
        max(abs(means.get(step, 0.0)), std / spreads[step] if spreads.get(step, 0.0) > 0 else 0.0)
        for step, std in stds
    ]
    same = [std <= SAME * size for std, size in zip(stds.values, sizes, strict=True)]
    return same[0] and sum(same) > len(same) / 2


def worst_place(history: History, quantity: str, at_first: bool = False) -> tuple[str, float]:
    """Where a quantity is largest, lately or at first; ("", NaN) if it was not measured."""
    take = first if at_first else late
    found = [(place, take(history, quantity, place)) for place in history.places(quantity)]
    kept = [(place, value) for place, value in found if math.isfinite(value)]
    return max(kept, key=lambda pair: pair[1], default=("", math.nan))
