"""Members of one problem trained together in one lane, and their modules handed back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from ravine import rules
from ravine.errors import SettingError
from ravine.recipes import Problem, Recipe, check, find, load
from ravine.rules import Rule
from ravine.training.choose import choose
from ravine.training.lane import Lane, Member, unheard
from ravine.training.procedure import Procedure
from ravine.training.records import Run, Trial
from ravine.training.threads import threads

AnyProcedure = str | Rule | Procedure

MakeLane = Callable[[Problem, Mapping[str, Procedure]], Lane]
"""(problem, procedures by name) -> lane. `SerialLane` itself is one."""

CAPACITY = 64
"""Members that train together at most; more of them wait for the next turn."""


@final
@dataclass(frozen=True)
class Fitted:
    """A trained member.

    Attributes:
        model: the recipe's module with the weights that were evaluated last (the best ones, if the
            recipe stops early), in evaluation mode.
        run: its trial and its curve.
    """

    model: nn.Module
    run: Run


def fit(
    recipe: str | Recipe | Problem,
    procedures: AnyProcedure | Sequence[AnyProcedure],
    lr: float | None = None,
    seeds: Sequence[int] = (0,),
    lane: str | MakeLane = "auto",
) -> list[Fitted]:
    """Train members to the end: every procedure from every seed.

        members = fit("digits-mlp", "adam", lr=1e-3, seeds=range(5))

    Args:
        recipe: what to train: a recipe, its built-in name, or a problem that is loaded already.
        procedures: one or several of: the name of a rule, a rule, a procedure.
        lr: the learning rate of all; None: the default of each rule.
        seeds: each fixes initialization, order of examples and noise.
        lane: "auto" (the fastest when timed), "serial", "population", or what makes one, such as
            `SerialLane`.

    Returns:
        The first procedure's members in the order of the seeds, then the next one's.

    Raises:
        UnknownNameError: no recipe, rule or lane of that name.
        RecipeError: the recipe cannot be trained.
        SettingError: no procedures or seeds, one of them twice, a learning rate that is not a
            positive number, or the population lane cannot train this problem.
    """
    problem = _ready(recipe)
    arms = _by_name(procedures)
    trials = _trials(arms, lr, seeds)
    used, count = _lane(lane, problem, arms, trials)
    with threads(count):
        trained = {
            (member.run.trial.procedure, member.run.trial.seed): Fitted(
                used.module(member), member.run
            )
            for chunk in used.chunks([Member.new(trial) for trial in trials])
            for member in used.train(chunk, problem.steps, unheard)
        }
    return [trained[trial.procedure, trial.seed] for trial in trials]


def as_procedures(procedures: AnyProcedure | Sequence[AnyProcedure]) -> list[Procedure]:
    """One or several procedures, each from whatever says it.

    Raises:
        UnknownNameError: no rule of that name.
        SettingError: there are none, or one is neither a name, a rule nor a procedure.
    """
    several = [procedures] if isinstance(procedures, AnyProcedure) else list(procedures)
    if not several:
        raise SettingError('there are no procedures to train with; expected e.g. "sgd"')
    return [_procedure(one) for one in several]


def _procedure(one: AnyProcedure) -> Procedure:
    return one if isinstance(one, Procedure) else Procedure.of(rules.as_rule(one))


def _ready(recipe: str | Recipe | Problem) -> Problem:
    if isinstance(recipe, Problem):
        return recipe
    problem = load(find(recipe))
    check(problem)
    return problem


def _by_name(procedures: AnyProcedure | Sequence[AnyProcedure]) -> dict[str, Procedure]:
    several = as_procedures(procedures)
    names = [procedure.name for procedure in several]
    _insist_on_distinct("procedures", names)
    return dict(zip(names, several, strict=True))


def _trials(arms: Mapping[str, Procedure], lr: float | None, seeds: Sequence[int]) -> list[Trial]:
    if len(seeds) == 0:
        raise SettingError("there are no seeds to train from; expected e.g. seeds=range(5)")
    _insist_on_distinct("seeds", list(seeds))
    if lr is not None and not (lr > 0 and math.isfinite(lr)):
        raise SettingError(f"lr={lr!r}; expected a number above 0, e.g. 0.1")
    return [
        arm.trial(arm.rule.defaults["lr"] if lr is None else lr, seed)
        for arm in arms.values()
        for seed in seeds
    ]


def _insist_on_distinct(what: str, names: Sequence[object]) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise SettingError(f"among the {what} {twice[0]!r} comes twice; expected each once")


def _lane(
    lane: str | MakeLane,
    problem: Problem,
    arms: Mapping[str, Procedure],
    trials: Sequence[Trial],
) -> tuple[Lane, int]:
    """The lane, and the threads to run it on."""
    if not isinstance(lane, str):
        return lane(problem, arms), torch.get_num_threads()
    capacity = min(len(trials), CAPACITY)
    choice = choose(problem, arms, trials, lane, capacity, problem.steps * len(trials))
    return choice.lane, choice.threads
