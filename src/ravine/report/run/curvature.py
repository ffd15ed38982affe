"""Curvature along a run, in facts and words: along the gradient, and at its extremes. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ravine.diagnostics.history import Series
from ravine.report import words
from ravine.report.axes import fitting_axis, linear_axis, log_axis
from ravine.report.records import Caption
from ravine.report.run.readings import began, change, ended, finite, paired, tick
from ravine.report.run.record import RunRecord
from ravine.report.run.records import Chart, Charts, Line

OVERSHOOTS = 2.0
"""ε gᵀHg / gᵀg above which a step of gradient descent ends higher than it began."""

FAR = 2.5
"""The ratio is drawn from minus this to twice this; what lies beyond stands at the edge."""

OTHERS = (
    "Limits are those of plain gradient descent with the run's learning rate ε; momentum and rules "
    "that scale their steps, such as Adam, have others."
)


def gradient_charts(record: RunRecord) -> Charts | None:
    """gᵀg and gᵀHg, the two terms of the test for ill-conditioning, and their ratio."""
    history, last = record.history, record.steps
    square, bend = (
        history.series("gradient_norm_squared"),
        history.series("gradient_curvature"),
    )
    slope_term, bend_term = history.series("gradient_term"), history.series("curvature_term")
    ratio = history.series("overshoot_ratio")
    if not finite(bend.values):
        return None
    sizes = (("gᵀg", 0, square), ("gᵀHg", 1, bend))
    terms = (("ε gᵀg", 0, slope_term), ("½ ε² gᵀHg", 1, bend_term))
    charts = [_on_log("gᵀg and gᵀHg", sizes, last), _on_log("cost per step", terms, last)]
    if finite(ratio.values):
        charts.append(_ratio_chart(ratio, last))
    title = f"{_overshooting(ratio)} {_growth(square, bend)}".strip()
    reading = (
        "A step of gradient descent, -εg, changes the cost by about -ε gᵀg + ½ ε² gᵀHg: where the "
        "second term is the larger one, it goes up, and the ratio of their double, ε gᵀHg / gᵀg, is "
        "above 2. The run is held up by ill-conditioning where gᵀg does not shrink while gᵀHg grows "
        f"by an order of magnitude. Hollow dots are below zero. {OTHERS}"
    )
    return Charts(
        "curvature", "Curvature along the gradient", Caption(title, reading, title), tuple(charts)
    )


def _on_log(heading: str, parts: Sequence[tuple[str, int, Series]], last: int) -> Chart:
    lines = [_by_size(name, slot, series) for name, slot, series in parts if finite(series.values)]
    y = log_axis((value for line in lines for value in line.values), tick)
    ends = "; ".join(
        f"{name} {words.number(ended(series.values))}" for name, _, series in parts if series
    )
    return Chart(
        heading, f"{heading} against gradient steps. At the end: {ends}.", last, y, tuple(lines)
    )


def _by_size(name: str, slot: int, series: Series) -> Line:
    """A line of absolute values that remembers which were below zero; zeros are left out."""
    points = [(s, v) for s, v in series if v != 0]
    return Line(
        name,
        slot,
        "dots",
        tuple(s for s, _ in points),
        tuple(abs(v) for _, v in points),
        tuple(v < 0 for _, v in points),
    )


def _ratio_chart(ratio: Series, last: int) -> Chart:
    kept = [min(max(value, -FAR), 2 * FAR) for value in finite(ratio.values)]
    y = linear_axis([0.0, FAR, *kept], tick)
    lines = (
        Line("2: above it a step overshoots", 6, "level", (0, last), (OVERSHOOTS, OVERSHOOTS)),
        Line("ε gᵀHg / gᵀg", 2, "dots", tuple(ratio.steps), tuple(ratio.values)),
    )
    middle = words.number(ended(ratio.values))
    return Chart(
        "ε gᵀHg / gᵀg", f"The ratio against gradient steps, with a line at 2. At the end: {middle}.",
        last, y, lines,
    )  # fmt: skip


def _overshooting(ratio: Series) -> str:
    values = finite(ratio.values)
    if not values:
        return ""
    over, below = sum(v > OVERSHOOTS for v in values), sum(v < 0 for v in values)
    of = words.plural(len(values), "measured step")
    if over:
        text = f"A step of plain gradient descent would have overshot at {over} of {of}."
    else:
        text = (
            "A step of plain gradient descent would never have overshot: ε gᵀHg / gᵀg came to "
            f"{words.number(max(values), 2)} at most."
        )
    if below:
        text += f" The curvature along the gradient was negative at {below} of {of}."
    return text


def _growth(square: Series, bend: Series) -> str:
    first, last = began(square.values), ended(square.values)
    before, after = began(bend.values), ended(bend.values)
    if not all(value > 0 for value in (first, last, before, after)):
        return ""
    return f"From start to end gᵀg {change(first, last)} and gᵀHg {change(before, after)}."


def spectrum_charts(record: RunRecord) -> Charts | None:
    """The largest and the most negative eigenvalue of the Hessian, and 2/ε."""
    history, last = record.history, record.steps
    largest, smallest = history.series("largest_eigenvalue"), history.series("smallest_eigenvalue")
    if not finite(largest.values):
        return None
    limit = limits(record)
    charts = (_largest_chart(largest, limit, last), _smallest_chart(smallest, last))
    title = f"{_steepest(largest, limit)} {_most_negative(smallest)}".strip()
    reading = (
        "An eigenvalue of the Hessian is the curvature along one direction. Gradient descent goes up "
        "along directions whose eigenvalue is above 2/ε. Below zero the cost curves down: with a small "
        f"gradient, that is a saddle. {OTHERS}"
    )
    return Charts("spectrum", "Spectrum", Caption(title, reading, title), charts)


def limits(record: RunRecord) -> list[tuple[int, float]]:
    """(step, 2/ε) by the terms that were measured: ε = ε gᵀg / gᵀg."""
    history = record.history
    both = paired(history.series("gradient_term"), history.series("gradient_norm_squared"))
    return [
        (step, 2 * square / term)
        for step, term, square in both
        if term > 0 and square > 0 and math.isfinite(square / term)
    ]


def _limit_at(limit: Sequence[tuple[int, float]], step: int) -> float:
    """2/ε where it was measured nearest to a step."""
    return min(limit, key=lambda pair: abs(pair[0] - step))[1]


def _largest_chart(largest: Series, limit: Sequence[tuple[int, float]], last: int) -> Chart:
    line = Line("largest eigenvalue", 0, "dots", tuple(largest.steps), tuple(largest.values))
    lines = (_limit_line(limit, last), line) if limit else (line,)
    y = fitting_axis((v for each in lines for v in each.values), tick)
    alt = f"Largest eigenvalue against gradient steps. At the end: {words.number(ended(largest.values))}."
    return Chart("largest eigenvalue", alt, last, y, lines)


def _limit_line(limit: Sequence[tuple[int, float]], last: int) -> Line:
    """2/ε, from the first to the last step at what was measured nearest to them."""
    steps = (0, *(step for step, _ in limit), last)
    values = (limit[0][1], *(value for _, value in limit), limit[-1][1])
    return Line("2/ε", 6, "level", steps, values)


def _smallest_chart(smallest: Series, last: int) -> Chart:
    line = Line(
        "most negative eigenvalue", 1, "dots", tuple(smallest.steps), tuple(smallest.values)
    )
    level = Line("zero", 6, "level", (0, last), (0.0, 0.0))
    y = linear_axis([0.0, *smallest.values], tick)
    alt = (
        f"Most negative eigenvalue against gradient steps. At the end: "
        f"{words.number(ended(smallest.values))}."
    )
    return Chart("most negative eigenvalue", alt, last, y, (level, line))


def _steepest(largest: Series, limit: Sequence[tuple[int, float]]) -> str:
    first, last = began(largest.values), ended(largest.values)
    if len(largest) == 1:
        text = f"The largest eigenvalue was {words.number(last)}"
    else:
        text = f"The largest eigenvalue went from {words.number(first)} to {words.number(last)}"
    if not limit:
        return f"{text}."
    known = [(step, value) for step, value in largest if math.isfinite(value)]
    over = sum(value > _limit_at(limit, step) for step, value in known)
    of = words.plural(len(known), "measured step")
    if over:
        return f"{text}, and was above 2/ε at {over} of {of}."
    return f"{text}, always below 2/ε."


def _most_negative(smallest: Series) -> str:
    end = ended(smallest.values)
    if not math.isfinite(end):
        return ""
    if end >= 0:
        return "None was negative at the end."
    return f"The most negative one ended at {words.number(end)}."
