"""Why trials failed: one of each failed setting is trained again, alone and watched.

Everything of a trial follows from its seed, so it can be had again: the same start, the same examples
in the same order. Lanes agree up to rounding; what a trial did in the comparison stays what is
reported, and its replay only explains it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ravine.comparison.failures import Bar, failed
from ravine.comparison.progress import Progress
from ravine.comparison.records import Explanation, Failure, Failures
from ravine.comparison.store import Store
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.watch.member import Watched, train_watched
from ravine.errors import said
from ravine.recipes import Problem
from ravine.training.ending import steps_taken
from ravine.training.lane import Member
from ravine.training.pace import evaluation_steps
from ravine.training.procedure import Procedure, pace_of
from ravine.training.records import Run
from ravine.training.serial import SerialLane
from ravine.training.threads import threads

MOST = 12
"""Trials that are trained again at most."""

SHARE = 0.1
"""Share of the comparison's gradient steps that replays may take, each counted as so many as it costs;
the first one is always made."""

DEARNESS = {"serial": 2.5, "population": 10.0}
"""What a watched step alone costs, in steps of the lane that trained the comparison. On the digits MLP
1.0 ms with all instruments, 0.42 ms without, and a population of 12 took 0.11 ms a member and step."""

ENOUGH = 30
"""Gradient steps that a diverged trial is trained again at least, if it was trained so long: of shorter
runs findings say only what is certain."""

FACT = "explanations"


def failures(store: Store, selection: Sequence[Run], final: Sequence[Run]) -> Failures:
    """The failed trials among the runs of a finished comparison, with what is stored about why."""
    maximize = store.fact("problem")["maximize"]
    stored = store.fact(FACT)
    settings = tuple(
        replace(failure, explanation=_known(failure, stored or ()))
        for failure in failed(selection, final, _chosen(store), maximize)
    )
    return Failures(len(selection) + len(final), settings, looked_into=stored is not None)


def explain(
    problem: Problem, procedures: Mapping[str, Procedure], store: Store, progress: Progress
) -> None:
    """Train failed trials again and store what is wrong with them, as many as the budget allows.

    Each one is stored when it is done: called again, it goes on with the others.

    Args:
        problem: the recipe, loaded and checked.
        procedures: the arms by name.
        store: the folder of a comparison that has come to its end.
        progress: hears what happens.
    """
    selection, final = store.runs("selection"), store.runs("final")
    found = failures(store, selection, final)
    runs = [*selection, *final]
    taken = sum(_steps(run, problem) for run in runs)
    lane = store.fact("lane")
    budget = SHARE * taken / DEARNESS[lane["name"]]
    paces = {name: pace_of(problem, procedure) for name, procedure in procedures.items()}
    enough = {name: math.ceil(ENOUGH * problem.steps / pace.steps) for name, pace in paces.items()}
    planned = plan(found.settings, problem.steps, budget, enough)
    left = [(failure, until) for failure, until in planned if failure.explanation is None]
    stored = store.fact(FACT) or []
    if left:
        trials = "1 failed trial" if len(left) == 1 else f"{len(left)} failed trials"
        progress.stage(f"explaining {trials}", sum(until for _, until in left))
    replays = _Replays(problem, procedures, Bar(runs, problem.recipe.maximize), progress)
    with threads(lane["threads"]):
        for failure, until in left:
            explanation = replays.of(failure, until)
            named = {"arm": failure.arm, "lr": failure.lr, "hyper": dict(failure.run.trial.hyper)}
            stored.append({**named, **asdict(explanation)})
            store.set_facts(**{FACT: stored})
    if store.fact(FACT) is None:
        store.set_facts(**{FACT: []})
    replays.tell()


def plan(
    settings: Sequence[Failure], steps: int, budget: float, enough: Mapping[str, int]
) -> list[tuple[Failure, int]]:
    """Which settings are explained, and how far their trials are trained again.

    Of each way of failing the most telling setting that fits. What failed on fresh seeds comes first,
    then short replays before long ones: as many ways as possible are explained.

    Args:
        settings: the failed ones, the most telling first.
        steps: T, gradient steps of a full training.
        budget: gradient steps for all; only the first replay may take more.
        enough: arm -> the least steps of a replay, where the trial was trained so long.
    """
    ways: dict[tuple[str, int, bool], list[tuple[Failure, int]]] = {}
    for failure in settings:
        ways.setdefault(failure.way, []).append(
            (failure, _length(failure.run, steps, enough[failure.arm]))
        )
    planned: list[tuple[Failure, int]] = []
    for group in sorted(ways.values(), key=lambda group: (group[0][0].fresh == 0, group[0][1])):
        left = budget - sum(until for _, until in planned)
        fitting = [row for row in group if row[1] <= left or not planned]
        if len(planned) < MOST:
            planned += fitting[:1]
    return planned


def _length(run: Run, steps: int, least: int) -> int:
    """How far a run is trained again: as far as it was, or twice as far as it took to diverge."""
    end = run.curve[-1].step
    if run.diverged_at is None:
        return end
    enough = max(2 * run.diverged_at, least)
    return next((step for step in evaluation_steps(steps) if enough <= step < end), end)


class _Replays:
    """Trains trials again, one by one, with all instruments.

    Args:
        problem, procedures: what is trained, and how.
        bar: what outcomes are held against.
        progress: hears of steps.
    """

    def __init__(
        self, problem: Problem, procedures: Mapping[str, Procedure], bar: Bar, progress: Progress
    ):
        self._lane = SerialLane(problem, procedures)
        self._bar = bar
        self._progress = progress
        self._rested: dict[str, str] = {}

    def of(self, failure: Failure, until: int) -> Explanation:
        """Train the trial that speaks for all. What breaks in there must not cost the comparison,
        which is done."""
        trial = failure.run.trial
        try:
            watched = self._watched(Member.new(trial), until)
            findings = tuple(watched.findings)
        except Exception as error:  # instruments and findings meet whatever there is
            return Explanation(trial.seed, until, "unknown", (), said(error))
        return Explanation(trial.seed, until, self._bar.outcome(watched.member.run), findings)

    def _watched(self, member: Member, until: int) -> Watched:
        """All instruments may take as long as the run itself; those that fail are told of once."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the instrument ", RuntimeWarning)
            watched = train_watched(self._lane, member, [until], self._progress.tick, budget=1.0)
        failures = {name: account.failure for name, account in watched.accounts.items()}
        self._rested |= {name: why for name, why in failures.items() if why is not None}
        return watched

    def tell(self) -> None:
        """Which instruments failed, in a line; nothing if none did."""
        if self._rested:
            named = "; ".join(f"{name} ({why})" for name, why in self._rested.items())
            self._progress.note(f"instruments that failed while watching, and rested: {named}")


def _known(failure: Failure, stored: Sequence[Mapping[str, Any]]) -> Explanation | None:
    """What is stored about a failure; rows of earlier versions name the learning rate only."""
    hyper = failure.run.trial.hyper
    for row in stored:
        same = (row["arm"], row["lr"]) == (failure.arm, failure.lr)
        if same and row.get("hyper", hyper) == hyper:
            return explanation_from(row)
    return None


def explanation_from(row: Mapping[str, Any]) -> Explanation:
    """An explanation as it is stored."""
    findings = tuple(Finding(**finding) for finding in row["findings"])
    return Explanation(row["seed"], row["steps"], row["outcome"], findings, row["failure"])


def _chosen(store: Store) -> dict[str, float]:
    """The chosen rate of each arm, in the order asked for."""
    chosen = store.fact("outcome")["chosen"]
    return {arm: chosen[arm] for arm in store.fact("settings")["arms"]}


def _steps(run: Run, problem: Problem) -> int:
    recipe = problem.recipe
    return steps_taken(run.curve, recipe.patience, recipe.maximize) if run.curve else 0
