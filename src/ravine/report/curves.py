"""What the final runs did while they were trained, in facts and words. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ravine.comparison.records import Study
from ravine.report import words
from ravine.report.arms import keys, metric_of, unit
from ravine.report.axes import outcome_axis
from ravine.report.records import Caption, Curves, Key, Line
from ravine.training.records import Curve, Run, runs_of

Column = Callable[[Curve], NDArray[np.float64]]
"""What of a curve is drawn."""

DRAWN = 200
"""Most points of a line. A training has 28 evaluations; of curves with thousands a figure of 700 pixels
shows no more, and a page of 200 arms would have 37 MB."""


def cost_curves(study: Study) -> Curves:
    """The training cost of the final runs."""
    lines = _lines(study, lambda curve: curve.costs, maximize=False)
    start = start_of(lines, maximize=False)
    return Curves(
        caption=_curves_caption(study, lines, "training cost", False, words.number),
        y=outcome_axis(drawn(lines), start, False, words.number),
        y_title="training cost",
        percent=False,
        lines=lines,
        x_title=unit(study),
    )


def validation_curves(study: Study) -> Curves:
    """The validation metric of the final runs."""
    metric, maximize = metric_of(study.verdict), study.verdict.maximize
    lines = _lines(study, lambda curve: curve.validation_metrics, maximize)
    name = f"validation {metric.label}"
    return Curves(
        caption=_curves_caption(study, lines, name, maximize, metric.value),
        y=outcome_axis(drawn(lines), start_of(lines, maximize), maximize, metric.tick),
        y_title=name,
        percent=metric.percent,
        lines=lines,
        x_title=unit(study),
    )


def _lines(study: Study, of: Column, maximize: bool) -> tuple[Line, ...]:
    lines = []
    for name, key in keys(study).items():
        runs = [run for run in runs_of(name, study.final) if run.curve]
        if runs:
            lines.append(line_of(key, runs, of, -math.inf if maximize else math.inf))
    return tuple(lines)


def line_of(key: Key, runs: Sequence[Run], of: Column, worst: float) -> Line:
    """The line of several runs; `worst` is what a run that diverged counts as."""
    steps = _drawn_steps(runs)
    rows = [_outcomes(run, steps, of, worst) for run in runs]
    columns = [[v for v in column if v is not None] for column in zip(*rows, strict=True)]
    low, middle, high = (tuple(quantile(c, q) for c in columns) for q in (0.25, 0.5, 0.75))
    return Line(key, steps, middle, low, high, len(runs))


def _drawn_steps(runs: Sequence[Run]) -> tuple[int, ...]:
    """The evaluated steps of runs, or `DRAWN` of them from first to last."""
    steps = np.unique(np.concatenate([run.curve.steps for run in runs])).astype(int)
    if len(steps) > DRAWN:
        steps = steps[np.linspace(0, len(steps) - 1, DRAWN).round().astype(int)]
    return tuple(steps.tolist())


def _outcomes(run: Run, steps: Sequence[int], of: Column, worst: float) -> list[float | None]:
    """The run's value at each step; the worst from where it diverged, None where not evaluated."""
    curve, broken = run.curve, run.diverged_at
    values = dict(zip(curve.steps.tolist(), of(curve).tolist(), strict=True))
    return [worst if broken is not None and s >= broken else values.get(s) for s in steps]


def quantile(values: Iterable[float], q: float) -> float:
    """Interpolate linearly between order statistics, infinities allowed (NumPy makes them NaN).

    >>> quantile([1, 2, float("inf")], 0.5), quantile([1, float("inf"), float("inf")], 0.75)
    (2.0, inf)
    """
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    left, part = math.floor(at), at - math.floor(at)
    if part == 0 or ordered[left] == ordered[left + 1]:
        return float(ordered[left])
    ends = (ordered[left], ordered[left + 1])
    if not all(map(math.isfinite, ends)):
        return next(end for end in ends if not math.isfinite(end))
    return float(ends[0] + part * (ends[1] - ends[0]))


def drawn(lines: Iterable[Line]) -> list[float]:
    """All numbers that lines show."""
    return [v for line in lines for v in (*line.low, *line.middle, *line.high)]


def start_of(lines: Iterable[Line], maximize: bool) -> float:
    """The worst median before training: where all curves begin."""
    starts = [line.middle[0] for line in lines if math.isfinite(line.middle[0])]
    return (min if maximize else max)(starts, default=math.nan)


def _curves_caption(
    study: Study,
    lines: Sequence[Line],
    name: str,
    maximize: bool,
    text: Callable[[float], str],
) -> Caption:
    better = "higher" if maximize else "lower"
    reading = (
        f"Line: median over the fresh seeds; band: the middle half of them; {better} is better. "
        "Press a name to hide or show it."
    )
    if not all(math.isfinite(value) for line in lines for value in line.middle):
        reading += " A line stops where most seeds diverged."
    ends = "; ".join(f"{line.key.title} {text(line.middle[-1])}" for line in lines)
    alt = f"{name.capitalize()} against {unit(study)}. At the end: {ends}."
    return Caption(_curves_title(study, lines, name, maximize, text), reading, alt)


def _curves_title(
    study: Study,
    lines: Sequence[Line],
    name: str,
    maximize: bool,
    text: Callable[[float], str],
) -> str:
    ends = {line.key.title: line.middle[-1] for line in lines}
    alive = {title: end for title, end in ends.items() if math.isfinite(end)}
    if not alive:
        return f"No {name} to show: the final runs diverged."
    ordered = sorted(alive, key=lambda title: alive[title], reverse=maximize)
    first, last = ordered[0], ordered[-1]
    ahead, behind = ("highest", "lowest") if maximize else ("lowest", "highest")
    best = f"{first} ends with the {ahead} {name}, {text(alive[first])}"
    if len(alive) < len(ends):
        lost = words.listing([title for title in ends if title not in alive], most=3)
        return f"{best}; {lost} diverged on most seeds."
    return (
        f"{best}; {last} with the {behind}, {text(alive[last])}." if last != first else f"{best}."
    )
