"""A figure made again: its runs, and what they say of its claims. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ravine.comparison.protocol import final_scores
from ravine.reproduce.claims import Claim, Judged, judge
from ravine.reproduce.study import Panel, Quantity, Study
from ravine.training.records import Curve, Run

RESOLUTION = 1e-7
"""Logarithms are taken of no less: a cost in float32 knows nothing smaller beside 1."""


@dataclass(frozen=True)
class Line:
    """One line of a figure.

    Attributes:
        name, title: as files know it, and in print.
        lr: its learning rate.
        epoch: gradient steps in an epoch.
        runs: its trainings on fresh seeds; `Point.validation_metric` is what is drawn and judged.
    """

    name: str
    title: str
    lr: float
    epoch: float
    runs: Sequence[Run]


@dataclass(frozen=True)
class Made:
    """A figure made again.

    Attributes:
        panel: what it is.
        lines: one for each optimizer or setting, in the order asked for.
        judged: the claims, with their probabilities.
        report: the page of the comparison behind it, seen from the experiment's folder; None if
            nothing was searched.
    """

    panel: Panel
    lines: Sequence[Line]
    judged: Sequence[Judged]
    report: str | None = None

    @property
    def titles(self) -> dict[str, str]:
        """Of the lines."""
        return {line.name: line.title for line in self.lines}


@dataclass(frozen=True)
class Reproduction:
    """An experiment made again.

    Attributes:
        study: what it is. scale: its size.
        made: its figures.
        folder: where all of it lies.
        environment: versions and machine.
    """

    study: Study
    scale: float
    made: Sequence[Made]
    folder: Path
    environment: Mapping[str, str]


def shown(run: Run, quantity: Quantity) -> Run:
    """A run whose metric is what a figure shows."""
    if quantity == "validation_metric":
        return run
    costs = (replace(point, validation_metric=point.cost) for point in run.curve)
    return replace(run, curve=Curve.of(costs))


def judged(panel: Panel, lines: Sequence[Line]) -> list[Judged]:
    """The claims of a figure, given its lines."""
    return [_judged(panel, lines, claim) for claim in panel.claims]


def _judged(panel: Panel, lines: Sequence[Line], claim: Claim) -> Judged:
    """A claim, given the lines up to where it looks at them."""
    names = [line.name for line in lines]
    runs = [replace(r, curve=_until(r.curve, claim.share)) for line in lines for r in line.runs]
    diverged = {run.trial.procedure for run in runs if run.diverged_at is not None}
    return judge(claim, _scores(panel, runs, names), names, diverged)


def _scores(panel: Panel, runs: Sequence[Run], names: Sequence[str]) -> np.ndarray:
    """What is judged, [lines][seeds]; a run that diverged has the worst value there is."""
    scores = np.array(final_scores(runs, names, maximize=False))
    return np.log(np.maximum(scores, RESOLUTION)) if panel.log else scores


def _until(curve: Curve, share: float) -> Curve:
    """A curve up to the evaluation nearest to a share of it, one after the first at least."""
    end = share * curve[-1].step
    return curve.until(min(curve.steps[1:], key=lambda step: abs(step - end)))
