"""Layers over the steps of a run, in facts and words. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

from ravine.diagnostics.history import History, Series
from ravine.report import words
from ravine.report.axes import Axis, log_axis
from ravine.report.records import Caption
from ravine.report.run.readings import ended, finite, tick
from ravine.report.run.record import RunRecord
from ravine.report.run.records import Heat, Heats

COLUMNS = 48
"""Most columns of a map; readings that fall into one give their median."""

ROWS = 40
"""Most rows; of more layers evenly spaced ones are shown."""

VISIBLE = 0.02
"""A share that is worth a map, or a word."""

FLOOR = 1e-12
"""Smallest size that the colours tell from zero, as a share of the largest."""


def layer_maps(record: RunRecord) -> Heats | None:
    """Maps of gradients, updates, activations, dead and saturated units; None without readings."""
    history, last = record.history, record.steps
    maps = [
        _sizes(history, "gradient_norm", "Length of the gradient, by parameter", last),
        _sizes(history, "update_ratio", "Length of a step over that of the weights", last),
        _sizes(history, "activation_std", "Spread of the outputs, by layer", last),
        _shares(history, "dead_units", "Share of dead units, by layer", last),
        _shares(history, "saturated_activations", "Share of saturated outputs, by layer", last),
    ]
    kept = tuple(heat for heat in maps if heat is not None)
    if not kept:
        return None
    title = _title(history)
    reading = (
        "One row for each layer or parameter, in the model's order; time goes to the "
        "right, a column stands for what was measured around it. Rows that grow paler or darker from "
        "top to bottom mean gradients or signals that vanish or explode on their way through the "
        "network; a row of small steps hardly learns. A unit is dead if it was 0 for a whole "
        "minibatch, saturated if its derivative is below 0.05 of its largest value."
    )
    longest = max(
        len(_places(history, q)) for q in ("gradient_norm", "activation_std", "update_ratio")
    )
    if longest > ROWS:
        reading += f" Of {longest} rows, {ROWS} evenly spaced ones are shown at most."
    return Heats(Caption(title, reading, title), kept)


def _places(history: History, quantity: str) -> list[str]:
    return [place for place in history.places(quantity) if place]


def _title(history: History) -> str:
    norms = {
        place: ended(history.series("gradient_norm", place).values)
        for place in _places(history, "gradient_norm")
    }
    texts = []
    known = {place: norm for place, norm in norms.items() if norm > 0}
    if len(known) > 1:
        least, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        factor = words.number(known[most] / known[least], 2)
        texts.append(
            f"At the end the gradient of {most} is {factor} times as long as that of {least}."
        )
    for quantity, state in (
        ("dead_units", "units are dead"),
        ("saturated_activations", "outputs are saturated"),
    ):
        shares = {
            place: ended(history.series(quantity, place).values)
            for place in _places(history, quantity)
        }
        bad = {place: share for place, share in shares.items() if share >= VISIBLE}
        if bad:
            worst = max(bad, key=bad.__getitem__)
            texts.append(f"In “{worst}”, {bad[worst]:.0%} of the {state}.")
    return " ".join(texts) or "What was measured layer by layer."


def _sizes(history: History, quantity: str, heading: str, last: int) -> Heat | None:
    """A map on a logarithmic scale; None where nothing positive was measured."""

    def colours(values: Iterable[float]) -> Axis | None:
        positive = [v for v in values if v > 0]
        if not positive:
            return None
        least = max(min(positive), FLOOR * max(positive))
        return log_axis([least, *(v for v in positive if v > least)], tick, pad=0.01)

    return _map(history, quantity, heading, last, colours)


def _shares(history: History, quantity: str, heading: str, last: int) -> Heat | None:
    """A map from 0 to 1; None where all is next to 0."""

    def colours(values: Iterable[float]) -> Axis | None:
        ticks = tuple((v, f"{v:.0%}") for v in (0.0, 0.25, 0.5, 0.75, 1.0))
        return Axis(0.0, 1.0, False, ticks) if any(v >= VISIBLE for v in values) else None

    return _map(history, quantity, heading, last, colours)


def _map(
    history: History,
    quantity: str,
    heading: str,
    last: int,
    colours: Callable[[Iterable[float]], Axis | None],
) -> Heat | None:
    places = _places(history, quantity)
    shown = places[:: -(-len(places) // ROWS)] if places else []
    series = {place: history.series(quantity, place) for place in shown}
    colour = colours(finite(v for one in series.values() for v in one.values))
    if colour is None:
        return None
    edges, cells = columns(series, last)
    ends = "; ".join(f"{place} {words.number(ended(one.values))}" for place, one in series.items())
    return Heat(heading, f"{heading}. At the end: {ends}.", tuple(shown), edges, cells, colour)


def columns(
    series: Mapping[str, Series], last: int
) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    """Readings in columns: equal spans of steps, without those that nothing was measured in.

    Returns:
        edges of the columns, halfway between what was measured, and the median of each series in
        each column; NaN where it has none.
    """

    def column(step: int) -> int:
        return min(COLUMNS - 1, COLUMNS * step // max(1, last))

    steps: dict[int, list[int]] = {}
    for step in sorted({s for one in series.values() for s in one.steps}):
        steps.setdefault(column(step), []).append(step)
    at = [statistics.mean(group) for group in steps.values()]
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(at)), float(last)]
    medians = [_medians(one, column) for one in series.values()]
    return tuple(edges), tuple(tuple(one.get(c, math.nan) for c in steps) for one in medians)


def _medians(series: Series, column: Callable[[int], int]) -> dict[int, float]:
    """The median of the finite values in each column that has some."""
    values: dict[int, list[float]] = {}
    for step, value in series:
        if math.isfinite(value):
            values.setdefault(column(step), []).append(value)
    return {c: statistics.median(group) for c, group in values.items()}
