"""Axes of the figures: which range, linear or logarithmic, which ticks. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

LOG_FROM = 1.5
"""Decades that a range must span to be drawn logarithmically."""


@dataclass(frozen=True)
class Axis:
    """One axis of a figure, in data units.

    Attributes:
        lo: lower end. hi: upper end. log: whether it is logarithmic.
        ticks: values and their texts.
    """

    lo: float
    hi: float
    log: bool
    ticks: tuple[tuple[float, str], ...]

    def clip(self, x: float) -> float:
        """Bring `x` into the range; NaN stays NaN."""
        return min(self.hi, max(self.lo, x))


def log_axis(values: Iterable[float], text: Callable[[float], str], pad: float = 0.15) -> Axis:
    """Span positive `values` logarithmically, with `pad` decades to spare on both sides."""
    logs = [math.log10(v) for v in values if 0 < v < math.inf] or [0.0]
    lo, hi = min(logs) - pad, max(logs) + pad
    return Axis(10**lo, 10**hi, True, tuple((t, text(t)) for t in _log_ticks(lo, hi)))


def complement_axis(lo: float, hi: float, text: Callable[[float], str]) -> Axis:
    """Span decays x from `lo` to `hi` < 1 in units of 1 - x, logarithmically, x growing to the right."""
    values = [1 - 10.0**-k for k in range(1, 10)]
    ticks = [x for x in (0.0, 0.5, *values) if lo <= x <= hi]
    pad = ((1 - lo) / (1 - hi)) ** 0.06
    return Axis((1 - lo) * pad, (1 - hi) / pad, True, tuple((1 - x, text(x)) for x in ticks))


def linear_axis(values: Iterable[float], text: Callable[[float], str], pad: float = 0.05) -> Axis:
    """Span `values` linearly, with a fraction `pad` of the span to spare on both sides."""
    finite = [v for v in values if math.isfinite(v)] or [0.0]
    lo, hi = min(finite), max(finite)
    room = pad * (hi - lo) or 0.05 * abs(hi) or 1.0
    lo, hi = lo - room, hi + room
    return Axis(lo, hi, False, tuple((t, text(t)) for t in _linear_ticks(lo, hi)))


def outcome_axis(
    values: Iterable[float], start: float, maximize: bool, text: Callable[[float], str]
) -> Axis:
    """Span the outcomes of trainings that began at `start`.

    Outcomes far worse than the start would squeeze all others into a line: the axis ends a little
    beyond the start, and whoever draws clips. Logarithmic only where the interesting end is zero.
    """
    finite = [v for v in values if math.isfinite(v)]
    if maximize:
        better = [v for v in finite if v > start]
        floor = start - 0.1 * (max(better) - start) if better else -math.inf
        return linear_axis((max(v, floor) for v in finite), text)
    better = [v for v in finite if v < start]
    log = bool(finite) and min(finite) > 0
    ceiling = math.inf
    if better:
        ceiling = start * 1.2 if log else start + 0.1 * (start - min(better))
    return fitting_axis((min(v, ceiling) for v in finite), text)


def fitting_axis(values: Iterable[float], text: Callable[[float], str]) -> Axis:
    """Span all `values`, logarithmically if they are positive and span decades."""
    finite = [v for v in values if math.isfinite(v)]
    if finite and min(finite) > 0 and math.log10(max(finite) / min(finite)) > LOG_FROM:
        return log_axis(finite, text, pad=0.05)
    return linear_axis(finite, text)


def _log_ticks(lo: float, hi: float) -> list[float]:
    """Decades, thinned out to six; 1-2-5 where there are hardly any decades."""
    decades = range(math.ceil(lo), math.floor(hi) + 1)
    if len(decades) >= 3:
        return [10.0**d for d in decades[:: -(-len(decades) // 6)]]
    fine = [m * 10.0**d for d in range(math.floor(lo), math.ceil(hi) + 1) for m in (1, 2, 5)]
    return [t for t in fine if lo <= math.log10(t) <= hi]


def _linear_ticks(lo: float, hi: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten: the finest of them that stay within `most`."""
    power = 10.0 ** math.floor(math.log10((hi - lo) / most))
    step = next(m * power for m in (1, 2, 5, 10, 20) if (hi - lo) / (m * power) <= most)
    first, last = math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]
