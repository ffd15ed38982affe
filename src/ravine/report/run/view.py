"""The slice of the landscape, in facts and words. Pure."""

from __future__ import annotations

import math

from ravine.diagnostics.landscape import Slice
from ravine.report import words
from ravine.report.axes import fitting_axis
from ravine.report.curves import quantile
from ravine.report.records import Caption
from ravine.report.run.readings import finite, tick
from ravine.report.run.records import View

UPPER = 0.9
"""Quantile of the cells at which colours end, unless the path itself was higher: at its corners a slice
may be a million times higher than anywhere the run has been."""


def view_of(found: Slice) -> View | None:
    """What a slice shows; None if no cell of it is finite."""
    cells = finite(cost for row in found.costs for cost in row)
    if not cells:
        return None
    top = max([quantile(cells, UPPER), *finite(found.along)])
    title = _title(found)
    reading = (
        "The colour is the cost on the plane that holds most of the path: across it the path's first "
        "direction, up its second one. The line is the run, from the circle to the star. A unit moves "
        "every filter by its own length, so distances compare across networks. Dots lie where the plane "
        "is nearest to the run; the run's own cost is in their hover text. "
        "Beyond the brightest colour the cost is higher still; where there is none, it is not finite."
    )
    path = tuple(
        (x, y, f"step {step:,}: cost {words.number(cost)}")
        for (x, y), step, cost in zip(found.path, found.steps, found.along, strict=True)
    )
    return View(
        Caption(title, reading, title),
        found.a,
        found.b,
        found.costs,
        fitting_axis([cost for cost in cells if cost <= top], tick),
        path,
    )


def _title(found: Slice) -> str:
    held = sum(found.shares)
    start, end = found.along[0], found.along[-1]
    text = f"The plane holds {_percent(held)} of the path"
    if not (math.isfinite(start) and math.isfinite(end)):
        return f"{text}."
    how = "fell" if end < start else "rose"
    costs = f"{words.number(start)} to {words.number(end)}"
    return f"{text}, up to step {found.steps[-1]:,}; along it the cost {how} from {costs}."


def _percent(share: float) -> str:
    """Print a share, never rounded up to all.

    >>> _percent(0.9996), _percent(0.5)
    ('more than 99%', '50%')
    """
    return "more than 99%" if share > 0.99 else f"{share:.0%}"
