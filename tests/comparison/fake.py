"""A lane that trains nothing: every curve is a formula of hyperparameters and seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from ravine import rules
from ravine.comparison.identity import same_or_refuse
from ravine.comparison.progress import Progress
from ravine.comparison.protocol import Comparison
from ravine.comparison.records import Settings
from ravine.comparison.store import Store
from ravine.comparison.verdict import conclude
from ravine.recipes import Problem
from ravine.training.executor import Here
from ravine.training.lane import Lane, Member
from ravine.training.pace import evaluation_steps
from ravine.training.procedure import Procedure
from ravine.training.records import Point

Error = Callable[[str, Mapping[str, float]], float]
"""(arm, hyperparameters) -> the error at which its trainings end; NaN where they diverge."""


class FakeLane(Lane):
    """Errors fall from 0.9 to where a formula says, with a little luck that the seed brings."""

    name, title, capacity = "serial", "fake", 8

    def __init__(self, problem: Problem, procedures: Mapping[str, Procedure], error: Error):
        super().__init__(problem, procedures)
        self.error = error
        self.trained = 0

    def chunks(self, members):
        return [members[i : i + self.capacity] for i in range(0, len(members), self.capacity)]

    def train(self, members, until, tick, pause=math.inf):
        return [self._trained(member, until) for member in members]

    def _trained(self, member: Member, until: int) -> Member:
        begun = member.start_or_resume()
        assert begun is None or begun["step"].item() == member.step
        trial, first = member.run.trial, member.step if begun else -1
        luck = 0.001 * math.sin(trial.seed * 12.9898)
        points = []
        for step in evaluation_steps(self.problem.steps):
            if first < step <= until:
                done = step / self.problem.steps
                end = self.error(trial.procedure, trial.hyper) + luck
                value = 0.9 + luck + (end - 0.9 - luck) * done**0.25
                points.append(Point(step, value, value, self._metric(value)))
        self.trained += until - member.step
        return member.after(points, {"step": torch.tensor(until)})

    def _metric(self, error: float) -> float:
        return 1 - error if self.problem.recipe.maximize else error

    def test(self, members):
        return [member.run.curve[-1].validation_metric for member in members]

    def _timed(self, trials, steps):
        raise NotImplementedError

    def learned(self, member):
        raise NotImplementedError


def procedures(names: Sequence[str]) -> dict[str, Procedure]:
    return {name: Procedure.of(rules.get(name)) for name in names}


def run_fake(
    problem: Problem, names: Sequence[str], trials: int, error: Error, folder: Path, lane=FakeLane
):
    """A comparison in a folder, from wherever it was left: the study and the lane."""
    arms = procedures(names)
    settings = Settings(tuple(arms), problem.steps, 0, trials)
    fake = lane(problem, arms, error)
    store = Store(folder)
    try:
        same_or_refuse(store, problem, settings, arms)
        facts = {
            "name": "fake",
            "metric": "error_rate",
            "maximize": problem.recipe.maximize,
            "target": None,
            "tested": True,
            "patience": None,
            "titles": {name: arm.title for name, arm in arms.items()},
            "parts": {name: {"optimizer": name, "init": "as_built", "schedule": "constant",
                             "batches": "shuffled"} for name in arms},
            "step_seconds": dict.fromkeys(arms, 1.0),
        }  # fmt: skip
        store.set_facts(problem=facts, environment={})
        if store.fact("outcome") is None:
            Comparison(problem, arms, settings, fake, Here(fake), store, Progress()).run()
        return conclude(store), fake
    finally:
        store.close()
