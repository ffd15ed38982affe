"""Which trials of a comparison failed, by arm and configuration, the most telling first. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ravine.comparison.records import Failure
from ravine.comparison.space import Configuration
from ravine.training.records import Curve, Run

Array = NDArray[np.float64]

GONE = 0.1
"""A trial is stuck if it has come less than this share of the way from its own untrained metric to
the best trial's after as many steps."""

Named = tuple[str, Run]
"""A stage, "selection" or "final", and one of its runs."""


class Bar:
    """What trials are held against.

    Args:
        runs: all runs of the comparison.
        maximize: whether a larger metric is better.
    """

    def __init__(self, runs: Iterable[Run], maximize: bool):
        self._sign = -1 if maximize else 1
        steps, lowest = _lowest([run.curve[: run.curve.healthy] for run in runs], self._sign)
        self._best = dict(zip(steps.astype(int).tolist(), lowest.tolist(), strict=True))
        self._last = max(self._best, default=0)

    def best(self, step: int) -> float | None:
        """The best validation metric of all trials after so many steps; None if none was healthy."""
        value = self._best.get(step)
        return None if value is None else self._sign * value

    def outcome(self, run: Run) -> str:
        """ "diverged", "stuck" or "fine".

        Where not even the best trial is better than every untrained model, nobody has learned
        anything yet: such a step tells no trial from another, and only at the last one are they all
        stuck.
        """
        if run.diverged_at is not None:
            return "diverged"
        step = run.curve[-1].step
        if step not in self._best or step == 0:
            return "fine"
        best = self._best[step]
        if best >= self._best[0]:
            return "stuck" if step == self._last else "fine"
        start, end = (self._sign * run.curve[i].validation_metric for i in (0, -1))
        return "stuck" if start - end < GONE * (start - best) else "fine"


def _lowest(curves: Iterable[Curve], sign: int) -> tuple[Array, Array]:
    """All steps of curves, ascending, and the lowest metric (times `sign`) at each."""
    steps, lowest = np.empty(0), np.empty(0)
    for curve in curves:
        if not np.array_equal(steps[: len(curve)], curve.steps):
            every = np.union1d(steps, curve.steps)
            wider = np.full(len(every), math.inf)
            wider[np.searchsorted(every, steps)] = lowest
            steps, lowest = every, wider
        places = np.searchsorted(steps, curve.steps)
        lowest[places] = np.minimum(lowest[places], sign * curve.validation_metrics)
    return steps, lowest


def failed(
    selection: Sequence[Run], final: Sequence[Run], chosen: Mapping[str, float], maximize: bool
) -> tuple[Failure, ...]:
    """The settings (arm and configuration) at which trials failed.

    First those that failed on fresh seeds, which are the chosen ones. Then of each arm those next to
    its chosen rate, on each side of it the next one that diverged and the next one that got stuck;
    then the second ones, and so on: what fails further out in the same way tells least.

    Args:
        selection, final: the runs of the two stages.
        chosen: the chosen rate of each arm, in the order of the arms.
        maximize: whether a larger metric is better.
    """
    bar = Bar((*selection, *final), maximize)
    settings: dict[tuple[str, Configuration], list[Named]] = {}
    for stage, runs in (("selection", selection), ("final", final)):
        for run in runs:
            if run.curve:
                one = Configuration.of(run.trial.hyper)
                settings.setdefault((run.trial.procedure, one), []).append((stage, run))
    lost = {run.trial.procedure for run in final if run.curve and bar.outcome(run) != "fine"}
    others = {run.trial.procedure: Configuration.of(run.trial.hyper).other for run in final}
    found = [
        _failure(named, bar, chosen[arm], arm not in lost, one.other == others.get(arm, one.other))
        for (arm, one), named in settings.items()
    ]
    return tuple(_ordered([failure for failure in found if failure is not None], list(chosen)))


def _ordered(found: Sequence[Failure], arms: Sequence[str]) -> list[Failure]:
    """The most telling first."""

    def near(failure: Failure) -> tuple[int, float]:
        return arms.index(failure.arm), abs(math.log(failure.lr / failure.chosen))

    counts: Counter[tuple[str, int, bool]] = Counter()
    placed: list[tuple[bool, int, Failure]] = []
    for failure in sorted(found, key=near):
        placed.append((failure.fresh == 0, counts[failure.way], failure))
        counts[failure.way] += 1
    return [failure for *_, failure in sorted(placed, key=lambda row: row[:2])]


def _failure(
    named: Sequence[Named], bar: Bar, chosen: float, trained: bool, alike: bool
) -> Failure | None:
    """The trials of one setting; None if none failed.

    One speaks for all: on a fresh seed before one of the selection, then one that diverged before one
    that got stuck, the earliest first.
    """
    bad = [(stage, run) for stage, run in named if bar.outcome(run) != "fine"]
    if not bad:
        return None
    stage, first = min(bad, key=_loudest)
    steps = [run.diverged_at for _, run in bad if run.diverged_at is not None]
    return Failure(
        arm=first.trial.procedure,
        lr=first.trial.lr,
        chosen=chosen,
        chosen_trained=trained,
        trials=len(named),
        diverged=len(steps),
        stuck=len(bad) - len(steps),
        fresh=sum(where == "final" for where, _ in bad),
        by=max(steps, default=None),
        stage=stage,
        run=first,
        best=bar.best(first.curve[-1].step),
        alike=alike,
    )


def _loudest(named: Named) -> tuple[bool, float, int]:
    stage, run = named
    return (
        stage != "final",
        math.inf if run.diverged_at is None else run.diverged_at,
        run.trial.seed,
    )
