"""A setup trained while it is watched, and what is found in it."""

from __future__ import annotations

from ravine.diagnostics.facts import Facts, facts_of
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings import diagnose
from ravine.diagnostics.history import History
from ravine.diagnostics.instruments import standard
from ravine.diagnostics.watch.watcher import Watcher
from ravine.training.lane import Member
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.faults.form import Setup

SEED = 32_000
"""None of those that the labels come from."""


def watched(setup: Setup, budget: float, seed: int = SEED) -> tuple[History, Facts]:
    """Train a setup to its end in the serial lane, with all instruments."""
    problem = setup.problem()
    procedure = setup.procedure(problem)
    lane = SerialLane(problem, {procedure.name: procedure})
    hyper = {**procedure.rule.defaults, "lr": setup.lr}
    watchers: list[Watcher] = []

    def observe(model, params, rates):
        watchers.append(Watcher(model, params, rates, standard(), budget))
        return watchers[-1]

    member = Member.new(Trial(procedure.name, hyper, seed))
    lane.train_observed(member, problem.steps, lambda steps: None, observe)
    return watchers[0].history, facts_of(problem, procedure)


def diagnosed(setup: Setup, budget: float, seed: int = SEED) -> list[Finding]:
    """The findings, worst first."""
    return diagnose(*watched(setup, budget, seed))
