"""Intervals over seeds, and slopes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from tests.references import Array

LEVEL = 1 - 1e-4
"""Level of the tests' intervals: a true statement is refused once in ten thousand choices of seeds."""


def interval(samples: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Student's interval of the mean of independent samples."""
    values = np.asarray(samples, dtype=np.float64)
    low, high = stats.t.interval(level, values.size - 1, values.mean(), stats.sem(values))
    return float(low), float(high)


def slopes(x: ArrayLike, y: ArrayLike) -> Array:
    """Least squares slopes of log y against log x; y is [points] or [points, samples]."""
    return np.polyfit(np.log(np.asarray(x)), np.log(np.asarray(y)), 1)[0]
