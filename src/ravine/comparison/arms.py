"""What is compared: every optimizer with every start, schedule and order of examples asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import nn

from ravine import batches, initializers, schedules
from ravine.batches import Order
from ravine.errors import InputError, SettingError
from ravine.initializers import Initializer, Start
from ravine.recipes import Problem, Split, build_model
from ravine.recipes.wording import said
from ravine.rules import Rule
from ravine.schedules import Schedule
from ravine.training.procedure import Procedure
from ravine.training.start import starting_model

DIMENSIONS = ("optimizer", "init", "schedule", "batches")
"""In which arms may differ, in the order in which an arm's name says so."""

AS_BUILT = "as_built"
CONSTANT = "constant"


def arms_of(
    problem: Problem,
    rules: Sequence[Rule],
    starts: Sequence[str | Initializer | Start],
    rates: Sequence[str | Schedule],
    orders: Sequence[str | Order],
) -> dict[str, Procedure]:
    """Every combination, by name: the optimizer, then every dimension in which arms differ.

    Args:
        problem: what will be trained; named schedules end with it, named orders see its targets.
        rules: of the optimizers.
        starts: names (`ravine.initializers.STARTS`), initializers or starts.
        rates: names (`ravine.schedules.NAMES`) or schedules, factors on the learning rate.
        orders: names (`ravine.batches.NAMES`) or orders; the recipe's own if empty.

    Raises:
        UnknownNameError: there is none of a name.
        SettingError: one is given twice, or cannot be used with this recipe.
    """
    begins = [initializers.start(what) for what in starts]
    factors = [_schedule(what, problem.steps) for what in rates]
    seen = [_order(what, problem) for what in orders or [problem.recipe.batches]]
    choices: dict[str, Sequence[Any]] = {"--init": begins, "--schedule": factors, "--batches": seen}
    for option, parts in choices.items():
        _insist_on_distinct(option, [part.name for part in parts])
    varies = [len(parts) > 1 for parts in choices.values()]
    arms = {}
    for rule, *others in product(rules, *choices.values()):
        start, schedule, order = others
        shown = [part.name for part, does in zip(others, varies, strict=True) if does]
        name = "/".join([rule.name, *shown])
        title = " · ".join([rule.title, *(part.replace("_", " ") for part in shown)])
        rated = {} if schedule.name == CONSTANT else {"lr": schedule}
        arms[name] = Procedure(name, title, rule, start, rated, order)
    return arms


def try_starts(problem: Problem, arms: Mapping[str, Procedure]) -> None:
    """Start a model as each arm would, before hours are spent.

    Raises:
        SettingError: a start fails on this model, changes nothing of it, or makes it NaN or infinite.
    """
    first = problem.train.first(problem.batch_size)
    built = build_model(problem, seed=0)
    for arm in {arm.start.name: arm for arm in arms.values()}.values():
        try:
            model = starting_model(problem, arm, 0, first.inputs, first.targets)
        except InputError:
            raise
        except Exception as error:
            raise SettingError(
                f"--init {arm.start.name} cannot be used with this model: {said(error)}"
            ) from error
        _insist_on_a_start(arm.start, built, model)


def _insist_on_a_start(start: Start, built: nn.Module, model: nn.Module) -> None:
    pairs = list(zip(built.parameters(), model.parameters(), strict=True))
    if start.name != AS_BUILT and all(torch.equal(before, after) for before, after in pairs):
        raise SettingError(
            f"--init {start.name} changes none of this model's parameters, for none is in a layer "
            f"that it knows; expected layers such as torch.nn.Linear, or --init {AS_BUILT}"
        )
    if not all(after.isfinite().all() for _, after in pairs):
        raise SettingError(
            f"--init {start.name} makes parameters of this model NaN or infinite; choose another"
        )


def parts_of(arms: Mapping[str, Procedure]) -> dict[str, dict[str, str]]:
    """Arm -> dimension -> what it takes there, by name."""
    return {
        name: {
            "optimizer": arm.rule.name,
            "init": arm.start.name,
            "schedule": arm.schedules["lr"].name if "lr" in arm.schedules else CONSTANT,
            "batches": arm.order.name if arm.order else "",
        }
        for name, arm in arms.items()
    }


def levels_of(parts: Iterable[Mapping[str, str]], dimension: str) -> list[str]:
    """What arms take in a dimension, each once, in the order asked for."""
    return list(dict.fromkeys(part[dimension] for part in parts))


def _schedule(what: str | Schedule, steps: int) -> Schedule:
    if isinstance(what, Schedule):
        return what
    if isinstance(what, str):
        return schedules.named(what, steps)
    raise SettingError(
        f"schedule {what!r}; expected a name, e.g. 'cosine', or a schedule, "
        "e.g. ravine.schedules.cosine(1000)"
    )


def _order(what: str | Order, problem: Problem) -> Order:
    if isinstance(what, Order):
        return what
    if not isinstance(what, str):
        raise SettingError(
            f"order of examples {what!r}; expected a name, e.g. 'shuffled', or an order, "
            "e.g. ravine.batches.shuffled_once()"
        )
    if not isinstance(problem.train, Split):
        raise SettingError(
            f"--batches {what}: the training data are not in memory; "
            "give an order in the recipe, e.g. batches=ravine.batches.shuffled_once()"
        )
    return batches.named(what, problem.train.targets)


def _insist_on_distinct(option: str, names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise SettingError(f"{option} gives {twice!r} twice; expected each one once")
