"""One recipe among several: its target from a reference run, and what each arm needed to reach it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ravine.comparison import statistics
from ravine.comparison.protocol import final_scores, score
from ravine.comparison.records import Arm, Settings, Study, Verdict
from ravine.comparison.statistics import Array
from ravine.comparison.store import Store
from ravine.comparison.verdict import conclude, to_target
from ravine.training.records import Run, runs_of

REFERENCE_SHARE = 0.75
"""The share of a training that reference runs take: everyone is given a third more than they, as
AlgoPerf gives submissions a third more than the algorithms that set its targets."""


@dataclass(frozen=True)
class Target:
    """What counts as "there" on a recipe.

    Attributes:
        value: of the validation metric. named: whether the recipe names it itself.
    """

    value: float
    named: bool


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
    """The recipe's own target; else what reference runs reached. No run that is timed sets it.

    Reference runs are those of the selection, each arm at its chosen setting; the fresh seeds, which
    are timed, are others. An arm's level is its mean validation metric after three quarters of the
    training, and the target is the median of the levels, so no arm sets its own alone:

        target = median over arms of mean over selection seeds of metric(¾ T)

    AlgoPerf sets its targets likewise by runs that it does not score, and gives others a third more
    time ("Defining target performance" in its documentation); but it takes the best metric achieved
    by the best of its reference algorithms. Here, at constant rates, that is the luckiest moment of
    one arm: of three arms on three small recipes nobody but that arm, or one other, got there, not
    even an arm that was better at the end with P >= 0.98.

    Returns:
        None where every arm diverged in the selection.
    """
    if named is not None:
        return Target(named, named=True)
    maximize, until = study.verdict.maximize, REFERENCE_SHARE * study.settings.steps
    runs = [_reference_runs(study, arm) for arm in study.verdict.arms]
    levels = [score(of, maximize, until)[0] for of in runs]
    healthy = [level for level in levels if math.isfinite(level)]
    if not healthy:
        return None
    return Target((-1 if maximize else 1) * statistics.median(healthy), named=False)


def _reference_runs(study: Study, arm: Arm) -> list[Run]:
    """An arm's selection runs at its chosen setting."""
    runs = runs_of(arm.name, study.selection)
    return [run for run in runs if dict(run.trial.hyper) == dict(arm.hyper)]


def _steps_to(study: Study, name: str, target: Target | None) -> float:
    """Median over an arm's fresh seeds, infinite for a miss."""
    if target is None:
        return math.inf
    return to_target(runs_of(name, study.final), -1 if study.verdict.maximize else 1, target.value)
