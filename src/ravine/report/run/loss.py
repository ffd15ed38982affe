"""The losses of a run and its findings beside them, in facts and words. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ravine.diagnostics.finding import Finding
from ravine.diagnostics.history import CAPACITY, Series
from ravine.report import words
from ravine.report.axes import fitting_axis
from ravine.report.records import Caption
from ravine.report.run.readings import ended, finite, tick
from ravine.report.run.record import RunRecord
from ravine.report.run.records import Chart, Charts, Line, Mark
from ravine.report.words import Metric

SIDE_BY_SIDE = 0.05
"""Marks nearer than this share of the run have one label: two would cover each other."""

WORSE = 0.05
"""A cost that rose by so much of its lowest value has passed its best."""


GAP = 0.05
"""No line is drawn between losses that are farther apart, as a share of the run; a history drops none of
the first 512."""


def metric_of(record: RunRecord) -> Metric:
    """How the validation metric prints."""
    return words.metric_of(record.metric, record.facts.maximize, [])


def loss_charts(record: RunRecord) -> Charts | None:
    """Training loss, costs at the evaluations, and the metric; None where no loss was heard."""
    loss = record.curve
    if not loss:
        return None
    costs, metric = _costs(record), _metric(record)
    broke = record.broke_at is not None
    course = _broken(record) if broke else _course(record) + _outcome(record)
    title = f"{course}."
    reading = (
        f"Thin line: {_kept(record)}. Dots: evaluations; the training cost is the mean over the "
        "minibatches since the one before. "
    )
    if record.findings:
        reading += (
            "A dotted line stands where a finding was first seen, under its number in the list. "
        )
    if record.broke_at is not None:
        reading += "Lines stop where numbers are no longer finite; what came after is not drawn."
    charts = (costs,) if metric is None else (costs, metric)
    return Charts("loss", "Loss", Caption(title, reading.strip(), title), charts, wide=True)


def _kept(record: RunRecord) -> str:
    """What the points of the loss are, in words."""
    if record.losses is None:
        return "the loss of single minibatches, of the older ones fewer"
    return "the loss of the minibatches, in long runs averaged over a few of them"


def _costs(record: RunRecord) -> Chart:
    history = record.history
    lines = [_thin(record)]
    for name, slot, quantity in (
        ("training cost", 0, "training_cost"),
        ("validation cost", 1, "validation_cost"),
    ):
        series = history.series(quantity)
        if finite(series.values):
            lines.append(_dots(name, slot, series))
    drawn = [value for line in lines for value in line.values]
    ends = "; ".join(f"{line.name} {words.number(line.values[-1])}" for line in lines)
    return Chart(
        heading="cost",
        alt=f"Costs against gradient steps. At the end: {ends}.",
        last=record.steps,
        y=fitting_axis(drawn, tick),
        lines=tuple(lines),
        marks=marks(record.findings, record.steps),
    )


def _metric(record: RunRecord) -> Chart | None:
    series, metric = record.history.series("validation_metric"), metric_of(record)
    values = finite(series.values)
    if len(values) < 2 or record.metric == "cost":
        return None
    name = f"validation {metric.label}"
    better = "higher" if metric.maximize else "lower"
    return Chart(
        heading=f"{name}, {better} is better",
        alt=f"{name.capitalize()} against gradient steps. At the end: {metric.value(series.values[-1])}.",
        last=record.steps,
        y=fitting_axis(values, lambda x: tick(100 * x) + "%" if metric.percent else tick(x)),
        lines=(_dots(name, 1, series),),
    )


def _thin(record: RunRecord) -> Line:
    """The loss, with gaps where too little of it was kept for a line."""
    steps: list[int] = []
    values: list[float] = []
    gap = GAP * max(CAPACITY, record.steps)
    for step, loss in record.curve:
        if steps and step - steps[-1] > gap:
            steps.append(steps[-1] + 1)
            values.append(math.nan)
        steps.append(step)
        values.append(loss)
    return Line("loss of the minibatches", 0, "thin", tuple(steps), tuple(values))


def _dots(name: str, slot: int, series: Series) -> Line:
    return Line(name, slot, "dots", tuple(series.steps), tuple(series.values))


def marks(findings: Sequence[Finding], last: int) -> tuple[Mark, ...]:
    """One mark for each step at which something was found, labelled so that no two labels touch.

    Steps beyond the last one that is drawn are marked there.
    """
    by_step: dict[int, list[int]] = {}
    for number, finding in enumerate(findings, start=1):
        by_step.setdefault(min(finding.step, last), []).append(number)
    groups: list[list[int]] = []
    for step in sorted(by_step):
        near = groups and step - groups[-1][0] < SIDE_BY_SIDE * last
        if near:
            groups[-1].append(step)
        else:
            groups.append([step])
    return tuple(
        Mark(step, _numbers(n for s in group for n in by_step[s]) if step == group[0] else "")
        for group in groups
        for step in group
    )


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _broken(record: RunRecord) -> str:
    """How a loss was lost: "The training loss rose from 2.4 to 1e30 and was ... from step 120 on"."""
    values = [*_first(record), *finite(record.curve.values)]
    lost = f"no finite number from step {record.broke_at:,} on"
    if not values:
        return f"The training loss was {lost}"
    if values[-1] > values[0]:
        course = f"rose from {words.number(values[0])} to {words.number(values[-1])}"
    else:
        course = f"began at {words.number(values[0])}"
    return f"The training loss {course} and was {lost}"


def _first(record: RunRecord) -> list[float]:
    """The very first loss, which a history never drops, if it is known and finite."""
    return finite(record.history.series("loss").values[:1])


def _course(record: RunRecord) -> str:
    """How the loss went: "The training loss fell from 2.4 to 0.03"."""
    values = [*_first(record), *finite(record.curve.values)]
    start, end, lowest = values[0], ended(record.curve.values), min(values)
    fell, rose = end < start - 0.05 * abs(start), end > start + 0.05 * abs(start)
    how = "fell" if fell else "rose" if rose else "hardly moved,"
    text = f"The training loss {how} from {words.number(start)} to {words.number(end)}"
    if rose and lowest < start:
        text += f", having been as low as {words.number(lowest)}"
    return text


def _outcome(record: RunRecord) -> str:
    """How validation went, as the rest of a sentence; empty without evaluations."""
    history, metric = record.history, metric_of(record)
    costs = [
        (cost, step) for step, cost in history.series("validation_cost") if math.isfinite(cost)
    ]
    text = ""
    if costs:
        lowest, at = min(costs)
        end, last = costs[-1]
        if at < last and end > lowest + WORSE * abs(lowest):
            best = f"lowest at step {at:,}, {words.number(lowest)}"
            text += f"; the validation cost was {best}, and ended at {words.number(end)}"
    values = history.series("validation_metric").values
    if values and math.isfinite(values[-1]) and record.metric != "cost":
        text += f"; the validation {metric.label} ended at {metric.value(values[-1])}"
    return text
