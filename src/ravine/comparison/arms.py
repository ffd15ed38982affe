"""What is compared: every optimizer with every start, schedule and order of examples asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ravine import batches, initializers, schedules
from ravine.batches import Order
from ravine.errors import InputError, SettingError, said
from ravine.initializers import Initializer, Start
from ravine.recipes import Problem, Split, Stream, build_model, insist_on_order
from ravine.rules import Rule
from ravine.schedules import Schedule
from ravine.training.pace import insist_on_evaluations
from ravine.training.procedure import Procedure
from ravine.training.start import starting_model

DIMENSIONS = ("optimizer", "init", "schedule", "batches", "batch_size")
"""In which arms may differ, in the order in which an arm's name says so."""

AS_BUILT = "as_built"
CONSTANT = "constant"
STREAMED = "streamed"

Part = TypeVar("Part")

Rates = str | Schedule | Mapping[str, Schedule]
"""Factors on the learning rate; or hyperparameter -> schedule."""


@dataclass(frozen=True)
class Arms:
    """What is compared.

    Attributes:
        procedures: arm -> procedure.
        parts: arm -> dimension -> what it takes there, by name.
    """

    procedures: Mapping[str, Procedure]
    parts: Mapping[str, Mapping[str, str]]


def arms_of(
    problem: Problem,
    rules: Sequence[Rule],
    starts: Sequence[str | Initializer | Start],
    rates: Sequence[Rates],
    orders: Sequence[str | Order],
    sizes: Sequence[int] = (),
) -> Arms:
    """Every combination, by name: the optimizer, then every dimension in which arms differ.

    Args:
        problem: what will be trained; named schedules end with a training, named orders see its
            targets.
        rules: of the optimizers.
        starts: names (`ravine.initializers.STARTS`), initializers or starts.
        rates: names (`ravine.schedules.NAMES`) or schedules, factors on the learning rate; or
            hyperparameter -> schedule.
        orders: names (`ravine.batches.NAMES`) or orders; the recipe's own if empty.
        sizes: of minibatches, in examples; the problem's own if empty. For trainings with others see
            `Problem.resized`.

    Raises:
        UnknownNameError: there is none of a name.
        SettingError: one is given twice, or cannot be used with this recipe.
    """
    begins, named, sized = _starts(starts), _rates(rates, problem), _sizes(sizes, problem)
    choices: dict[str, list[Mapping[str, Any]]] = {
        size: [begins, _like(named, _rates(rates, at)), _orders(orders, at), {f"batch_{size}": at}]
        for size, at in sized.items()
    }
    varies = [len(given) > 1 for given in (begins, rates, orders, sized)]
    procedures, parts = {}, {}
    for rule, size in product(rules, sized):
        for labels in product(*choices[size]):
            start, of, order, at = (c[k] for c, k in zip(choices[size], labels, strict=True))
            shown = [label for label, does in zip(labels, varies, strict=True) if does]
            name = "/".join([rule.name, *shown])
            title = " · ".join([rule.title, *(label.replace("_", " ") for label in shown)])
            own = None if at.batch_size == problem.batch_size else at.batch_size
            procedures[name] = Procedure(name, title, rule, start, of, order, own)
            parts[name] = dict(zip(DIMENSIONS, (rule.name, *labels[:-1], size), strict=True))
    return Arms(procedures, parts)


def try_starts(problem: Problem, arms: Mapping[str, Procedure]) -> None:
    """Start a model as each arm would, before hours are spent.

    Raises:
        SettingError: a start fails on this model, changes nothing of it, makes it NaN or infinite, or
            does what another one does.
    """
    built = build_model(problem, seed=0)
    begun: dict[str, list[Tensor]] = {}
    for arm in {arm.start.name: arm for arm in arms.values()}.values():
        try:
            model = starting_model(problem, arm, 0)
        except InputError:
            raise
        except Exception as error:
            raise SettingError(
                f"--init {arm.start.name} cannot be used with this model: {said(error)}"
            ) from error
        _insist_on_a_start(arm.start, built, model)
        begun[arm.start.name] = list(model.parameters())
    for (one, these), (other, those) in combinations(begun.items(), 2):
        if all(map(torch.equal, these, those)):
            raise SettingError(
                f"--init {one} and {other} start this model alike; expected starts that differ"
            )


def _insist_on_a_start(start: Start, built: nn.Module, model: nn.Module) -> None:
    pairs = list(zip(built.parameters(), model.parameters(), strict=True))
    if start.name != AS_BUILT and all(torch.equal(before, after) for before, after in pairs):
        raise SettingError(
            f"--init {start.name} changes none of this model's parameters; expected a start for its "
            f"kinds of layers, or --init {AS_BUILT}"
        )
    if not all(after.isfinite().all() for _, after in pairs):
        raise SettingError(
            f"--init {start.name} makes parameters of this model NaN or infinite; choose another"
        )


def levels_of(parts: Iterable[Mapping[str, str]], dimension: str) -> list[str]:
    """What arms take in a dimension, each once, in the order asked for."""
    return list(dict.fromkeys(part[dimension] for part in parts))


def _starts(starts: Sequence[str | Initializer | Start]) -> dict[str, Start]:
    begins = [initializers.start(what) for what in starts]
    return _labelled("--init", [(start.name, start) for start in begins])


def _rates(rates: Sequence[Rates], problem: Problem) -> dict[str, dict[str, Schedule]]:
    found = [_schedules(what, problem.steps) for what in rates]
    return _labelled("--schedule", [(_name(schedules_of), schedules_of) for schedules_of in found])


def _orders(
    orders: Sequence[str | Order], problem: Problem
) -> Mapping[str, Order] | Mapping[str, None]:
    if orders:
        seen = [_order(what, problem) for what in orders]
        return _labelled("--batches", [(order.name, order) for order in seen])
    if problem.recipe.batches is not None:
        insist_on_order(problem, problem.recipe.batches)
    streamed = isinstance(problem.train, Stream)
    return {STREAMED if streamed else problem.recipe.order.name: None}


def _sizes(sizes: Sequence[int], problem: Problem) -> dict[str, Problem]:
    """The problem at each size of minibatches, by its name."""
    sized = [(size, problem.resized(size)) for size in sizes or (problem.batch_size,)]
    for (one, first), (other, second) in combinations(sized, 2):
        if first.batch_size == second.batch_size:
            raise SettingError(
                f"--batch-size {one} and {other} are the same minibatches of {first.batch_size} "
                "examples here; expected sizes that differ"
            )
    for _, each in sized:
        insist_on_evaluations(problem.steps, each.steps)
    return {str(size): each for size, each in sized}


def _like(named: Iterable[str], parts: Mapping[str, Part]) -> dict[str, Part]:
    """Parts by the names that they have at the problem's own size. Of two schedules of one name these are
    how they are typed, which says how long they are."""
    return dict(zip(named, parts.values(), strict=True))


def _schedules(what: Rates, steps: int) -> dict[str, Schedule]:
    """Schedules by hyperparameter; none for a learning rate that stays as it is."""
    if isinstance(what, str):
        what = schedules.named(what, steps)
    if isinstance(what, Schedule):
        what = {} if what == schedules.constant() else {"lr": what}
    if isinstance(what, Mapping) and all(isinstance(one, Schedule) for one in what.values()):
        return dict(what)
    raise SettingError(
        f"schedule {what!r}; expected a name, e.g. 'cosine', a schedule, "
        "e.g. ravine.schedules.cosine(1000), or hyperparameter -> schedule"
    )


def _name(schedules_of: Mapping[str, Schedule]) -> str:
    others = [f"{name}:{of.name}" for name, of in schedules_of.items() if name != "lr"]
    rate = schedules_of["lr"].name if "lr" in schedules_of else CONSTANT
    return "+".join([rate, *others])


def _order(what: str | Order, problem: Problem) -> Order:
    if isinstance(what, str):
        train = problem.train
        what = batches.named(what, train.targets if isinstance(train, Split) else None)
    if not isinstance(what, Order):
        raise SettingError(
            f"order of examples {what!r}; expected a name, e.g. 'shuffled', or an order, "
            "e.g. ravine.batches.shuffled_once()"
        )
    insist_on_order(problem, what)
    return what


def _labelled(option: str, parts: Sequence[tuple[str, Part]]) -> dict[str, Part]:
    """Parts by name; those of one name by how they are typed."""
    for (name, one), (other, another) in combinations(parts, 2):
        if name == other and one == another:
            raise SettingError(f"{option} gives {name!r} twice; expected each one once")
    names = [name for name, _ in parts]
    labels = [name if names.count(name) == 1 else _typed(part) for name, part in parts]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise SettingError(
            f"{option} gives two that are named {twice!r}; expected names that differ"
        )
    return {label: part for label, (_, part) in zip(labels, parts, strict=True)}


def _typed(part: Any) -> str:
    if isinstance(part, Start):
        return part.name
    text = repr(part["lr"] if isinstance(part, dict) and list(part) == ["lr"] else part)
    return text.replace(" ", "")
