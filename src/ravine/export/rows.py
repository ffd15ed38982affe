"""A comparison's runs as rows: one for each evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ravine.comparison.store import Store
from ravine.training.records import Run

Cell = str | int | float | None

STAGES = ("selection", "final", "default")

POINT = ("step", "training_cost", "validation_cost", "validation_metric")


@dataclass(frozen=True)
class Staged:
    """A run, and whether it was one to choose by ("selection"), on a fresh seed ("final"), or there at
    the rule's default ("default")."""

    stage: str
    run: Run

    @property
    def name(self) -> str:
        """Unique among a comparison's runs."""
        trial = self.run.trial
        hyper = ",".join(f"{name}={value:.6g}" for name, value in sorted(trial.hyper.items()))
        return f"{trial.procedure}/{hyper}/{self.stage}-seed-{trial.seed}"


def staged(store: Store) -> list[Staged]:
    """All runs, in the order in which they were begun."""
    return [Staged(stage, run) for stage in STAGES for run in store.runs(stage)]


def hyperparameters(runs: list[Staged]) -> list[str]:
    """The names that any run has, sorted."""
    return sorted({name for each in runs for name in each.run.trial.hyper})


def header(runs: list[Staged]) -> list[str]:
    """Names of the columns."""
    return ["stage", "procedure", *hyperparameters(runs), "seed", *POINT, "test_metric"]


def rows(runs: list[Staged]) -> Iterator[list[Cell]]:
    """One for each evaluation; the test metric, looked at once, stands at the last one. None where a
    rule has no such hyperparameter."""
    names = hyperparameters(runs)
    for each in runs:
        trial, curve = each.run.trial, each.run.curve
        lead = [each.stage, trial.procedure, *(trial.hyper.get(n) for n in names), trial.seed]
        for point in curve:
            test = each.run.test_metric if point.step == curve[-1].step else None
            yield [
                *lead,
                *(point.step, point.cost, point.validation_cost, point.validation_metric),
                test,
            ]
