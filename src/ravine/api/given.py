"""What a user may give, and what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ravine import recipes, rules
from ravine.batches import Order
from ravine.comparison.arms import Rates, arms_of, try_starts
from ravine.errors import SettingError
from ravine.initializers import Initializer, Start
from ravine.recipes import Problem, Recipe, find
from ravine.rules import Rule
from ravine.training.procedure import Procedure

MOST_SEEDS = 10**9
"""Largest base seed: the seeds that derive from it have to fit into 64 bits."""

Given = TypeVar("Given")

AnyRecipe = str | Path | Recipe | Callable[[], Recipe]


def loaded(
    recipe: AnyRecipe, steps: int | None, epochs: int | None, batch_size: int | None = None
) -> Problem:
    """The recipe, its data loaded, checked."""
    problem = recipes.load(find(recipe), steps, epochs, batch_size)
    recipes.check(problem)
    return problem


def check_seed(seed: int) -> None:
    """Raise SettingError unless it is one."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEEDS:
        raise SettingError(f"--seed {seed}; expected a whole number from 0 to {MOST_SEEDS}")


def listed(option: str, given: Sequence[Given]) -> Sequence[Given]:
    """Raise unless several are given, be it in a list of one."""
    if isinstance(given, list | tuple):
        return given
    raise SettingError(f"{option}={given!r}; expected a list, e.g. [{given!r}]")


def resolve(optimizers: Sequence[str | Rule]) -> dict[str, Rule]:
    """Rules by name, from names and rules."""
    found = [rules.as_rule(optimizer) for optimizer in listed("optimizers", optimizers)]
    by_name = {rule.name: rule for rule in found}
    if len(by_name) != len(found):
        twice = next(r.name for r in found if sum(s.name == r.name for s in found) > 1)
        raise SettingError(
            f"optimizer {twice!r} is given twice; name a variant with "
            'dataclasses.replace(rule, name="...", title="...")'
        )
    return by_name


def rate_of(rule: Rule, lr: float | None) -> float:
    """The learning rate, or the rule's own."""
    rate = rule.defaults["lr"] if lr is None else lr
    if not rate > 0 or not math.isfinite(rate):
        raise SettingError(
            f"--lr {rate:g}; expected a number above 0, e.g. {rule.defaults['lr']:g}"
        )
    return rate


def procedure_of(
    problem: Problem,
    optimizer: str | Rule,
    init: str | Initializer | Start,
    schedule: Rates,
    batches: str | Order | None,
) -> Procedure:
    """The one procedure of these parts, tried on the recipe's model."""
    (rule,) = resolve([optimizer]).values()
    for option, given in (("--init", init), ("--schedule", schedule), ("--batches", batches)):
        if isinstance(given, str) and "," in given:
            raise SettingError(
                f"{option} {given}; expected one name, `ravine compare` takes several"
            )
    orders = [] if batches is None else [batches]
    arms = arms_of(problem, [rule], [init], [schedule], orders).procedures
    try_starts(problem, arms)
    return arms[rule.name]
