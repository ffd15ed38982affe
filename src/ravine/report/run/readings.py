"""Readings over a run in few numbers: how they began, how they ended. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from ravine.diagnostics.history import Series
from ravine.report.words import number

TENTH = 10
"""A beginning or an end is the first or last tenth of the readings, of few ones three or less."""

SAME = 1.5
"""Factors nearer to 1 are no change."""


def finite(values: Iterable[float]) -> list[float]:
    """Those that are neither NaN nor infinite."""
    return [value for value in values if math.isfinite(value)]


def tick(x: float) -> str:
    """Print a tick of an axis: a round number, told apart from its neighbours however near."""
    return number(x, 6)


def began(values: Sequence[float]) -> float:
    """The median of the first tenth of the finite values; NaN if there are none."""
    known = finite(values)
    return statistics.median(known[: _tenth(known)]) if known else math.nan


def ended(values: Sequence[float]) -> float:
    """The median of the last tenth of the finite values; NaN if there are none."""
    known = finite(values)
    return statistics.median(known[-_tenth(known) :]) if known else math.nan


def _tenth(values: Sequence[float]) -> int:
    few = max(1, min(3, len(values) // 2))
    return max(few, len(values) // TENTH)


def change(before: float, after: float) -> str:
    """Print how a positive quantity changed.

    >>> change(2, 20), change(30, 2), change(2, 2.5)
    ('grew 10-fold', 'fell 15-fold', 'changed little')
    """
    if not (before > 0 and after > 0):
        return f"went from {number(before)} to {number(after)}"
    factor = after / before
    if 1 / SAME < factor < SAME:
        return "changed little"
    return f"grew {number(factor, 2)}-fold" if factor > 1 else f"fell {number(1 / factor, 2)}-fold"


def paired(one: Series, other: Series) -> list[tuple[int, float, float]]:
    """(step, value of the one, value of the other) at the steps that both were measured at."""
    values = dict(other)
    return [(step, value, values[step]) for step, value in one if step in values]
