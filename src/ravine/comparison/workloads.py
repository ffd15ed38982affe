"""One recipe among several: its target from a reference run, and what each arm needed to reach it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ravine.comparison import statistics
from ravine.comparison.protocol import final_scores, score
from ravine.comparison.records import Settings, Study, Verdict
from ravine.comparison.search import WORST
from ravine.comparison.statistics import Array
from ravine.comparison.store import Store
from ravine.comparison.verdict import conclude, to_target
from ravine.training.records import Run

REFERENCE_SHARE = 0.75
"""The share of a training that a reference run may take: everyone is given a third more than it, as
AlgoPerf gives submissions a third more than the algorithms that set its targets."""


@dataclass(frozen=True)
class Target:
    """What counts as "there" on a recipe.

    Attributes:
        value: of the validation metric. reference: the arm whose runs set it; None for a target that
            the recipe names itself.
    """

    value: float
    reference: str | None


@dataclass(frozen=True)
class Workload:
    """One recipe among several.

    Attributes:
        folder: name of its run folder, which is the recipe's.
        settings: what was asked for. verdict: what came out on it.
        scores: arm -> final validation metrics over its fresh seeds, lower is better.
        target: what counts as "there"; None where no reference run trained and no target is named.
        steps: arm -> gradient steps to the target, the median over its fresh seeds; infinite for a
            miss. seconds: the same in seconds of training one model alone.
    """

    folder: str
    settings: Settings
    verdict: Verdict
    scores: Mapping[str, Sequence[float]]
    target: Target | None
    steps: Mapping[str, float]
    seconds: Mapping[str, float]

    def table(self, arms: Sequence[str]) -> Array:
        """`scores` as [arms, seeds], in this order of arms."""
        return np.array([self.scores[name] for name in arms], dtype=np.float64)


def workload(store: Store) -> Workload:
    """The recipe whose comparison a run folder holds.

    Raises:
        FolderError: its comparison has not come to its end.
    """
    study, facts = conclude(store), store.fact("problem")
    names, verdict = list(study.settings.arms), study.verdict
    target = target_of(study, facts["target"])
    steps = {name: _steps_to(study, name, target) for name in names}
    scores = final_scores(study.final, names, verdict.maximize)
    return Workload(
        folder=store.folder.name,
        settings=study.settings,
        verdict=verdict,
        scores=dict(zip(names, scores, strict=True)),
        target=target,
        steps=steps,
        seconds={name: steps[name] * facts["step_seconds"][name] for name in names},
    )


def target_of(study: Study, named: float | None) -> Target | None:
    """The recipe's own target; else what a reference run reached. No run that is timed sets it.

    The reference is the arm that did best in the selection, at its chosen setting, and its runs are
    those on the selection seeds, of which none is timed. The target is the median over them of the
    best validation metric within the first three quarters of the training. AlgoPerf does alike: the
    best of its reference algorithms, tuned; runs of its own; the median of the best metric achieved;
    a third more time for everybody else (its documentation, "Defining target performance").

    Returns:
        None where every arm diverged in the selection.
    """
    if named is not None:
        return Target(named, None)
    maximize = study.verdict.maximize
    runs = {arm.name: _reference_runs(study, arm.name) for arm in study.verdict.arms}
    scores = {name: score(of, maximize) if of else WORST for name, of in runs.items()}
    best = min(scores, key=lambda name: scores[name])
    if scores[best] == WORST:
        return None
    until = REFERENCE_SHARE * study.settings.steps
    sign = -1 if maximize else 1
    reached = [
        min(sign * point.validation_metric for point in run.curve if point.step <= until)
        for run in runs[best]
    ]
    return Target(sign * statistics.median(reached), best)


def _reference_runs(study: Study, name: str) -> list[Run]:
    """An arm's selection runs at its chosen setting."""
    hyper = next(dict(arm.hyper) for arm in study.verdict.arms if arm.name == name)
    return [
        run
        for run in study.selection
        if run.trial.procedure == name and dict(run.trial.hyper) == hyper
    ]


def _steps_to(study: Study, name: str, target: Target | None) -> float:
    """Median over an arm's fresh seeds, infinite for a miss."""
    if target is None:
        return math.inf
    runs = [run for run in study.final if run.trial.procedure == name]
    return to_target(runs, -1 if study.verdict.maximize else 1, target.value)
