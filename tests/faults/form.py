"""What a case is: a training that goes wrong, and its healthy twin that differs in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from torch import nn

from ravine import batches, rules, schedules
from ravine.batches import Order
from ravine.initializers import Initializer, Start, start
from ravine.recipes import Problem, Recipe, Split, load
from ravine.rules import Rule
from ravine.schedules import Schedule
from ravine.training.procedure import Procedure


@dataclass(frozen=True)
class Setup:
    """A training: a recipe, and how it is optimized.

    Attributes:
        recipe: builds the recipe; a `partial` of a function, so that two can be compared.
        optimizer: a rule or its name.
        lr: learning rate.
        init: where training starts, as `ravine.initializers.start` takes it.
        schedule: of the learning rate, a name or a schedule.
        batches: order of examples; None: as the recipe says.
        name: of a healthy run that is no case's twin.
    """

    recipe: Callable[[], Recipe]
    optimizer: str | Rule
    lr: float
    init: str | Initializer | Start | Callable[[nn.Module, int], None] = "as_built"
    schedule: str | Schedule = "constant"
    batches: str | Order | None = None
    name: str = ""

    @property
    def rule(self) -> Rule:
        """The update rule, at its own learning rate."""
        return rules.get(self.optimizer) if isinstance(self.optimizer, str) else self.optimizer

    def problem(self) -> Problem:
        """The recipe with its data loaded. Not checked: some faults are caught by the check."""
        return load(self.recipe())

    def procedure(self, problem: Problem) -> Procedure:
        """Everything of the training but the recipe and the learning rate."""
        schedule, order, rule = self.schedule, self.batches, self.rule
        if isinstance(schedule, str):
            schedule = schedules.named(schedule, problem.steps)
        if isinstance(order, str):
            assert isinstance(problem.train, Split)
            order = batches.named(order, problem.train.targets)
        return Procedure(rule.name, rule.title, rule, start(self.init), {"lr": schedule}, order)


@dataclass(frozen=True)
class Case:
    """A planted fault.

    Attributes:
        name: unique.
        kinds: names that a finding may have; the first is the right one, another is the same fault
            seen from its other side.
        faulty: the training that goes wrong. healthy: its twin.
        change: where they differ, "lr" or "model.activation".
    """

    name: str
    kinds: tuple[str, ...]
    faulty: Setup
    healthy: Setup
    change: str

    @property
    def kind(self) -> str:
        """The right name."""
        return self.kinds[0]


def case(name: str, kinds: str, healthy: Setup, change: str, to: Any) -> Case:
    """A case from its healthy twin and the line that is changed.

    Args:
        name: of the case. kinds: names, separated by spaces. healthy: the twin.
        change: a field of Setup, or an argument of the recipe, "batch_size", or an argument of an
            argument, "model.activation".
        to: what stands there in the faulty one.
    """
    return Case(name, tuple(kinds.split()), changed(healthy, change, to), healthy, change)


def changed(setup: Setup, where: str, to: Any) -> Setup:
    """A setup with one thing changed; see `case`."""
    if where in {field.name for field in fields(Setup)}:
        return replace(setup, **{where: to})
    return replace(setup, recipe=_with(setup.recipe, where.split("."), to))


def varied(setup: Setup, changes: Mapping[str, Any] | None = None, **fields: Any) -> Setup:
    """A setup with several things changed: `changes` are to the recipe, the rest to the setup."""
    for where, to in (changes or {}).items():
        setup = changed(setup, where, to)
    return replace(setup, **fields)


def missing(setup: Setup) -> str:
    """What a setup's data lack on this machine, a file or a package; empty: nothing."""
    try:
        setup.problem()
    except (FileNotFoundError, ModuleNotFoundError) as error:
        return str(error)
    return ""


def _with(made: Any, path: list[str], to: Any) -> Any:
    """A partial with a keyword changed, somewhere inside."""
    if not path:
        return to
    first, *rest = path
    return partial(made, **{first: _with(made.keywords.get(first), rest, to)})


def differences(one: Setup, other: Setup) -> list[str]:
    """Where two setups differ, as `changed` names it."""
    own = [f.name for f in fields(Setup) if f.name not in ("recipe", "init")]
    found = [name for name in own if getattr(one, name) != getattr(other, name)]
    found += ["init"] * (_inside("", one.init, other.init) != [])
    return [*found, *_inside("", one.recipe, other.recipe)]


def _inside(path: str, one: Any, other: Any) -> list[str]:
    """Where two values differ; partials of the same function are looked into."""
    partials = isinstance(one, partial) and isinstance(other, partial)
    if not partials or one.func is not other.func or one.args != other.args:
        same = one is other or (not partials and one == other)
        return [] if same else [path]
    names = one.keywords | other.keywords
    return [
        where
        for name in names
        for where in _inside(
            f"{path}.{name}".lstrip("."), one.keywords.get(name), other.keywords.get(name)
        )
    ]


def described(what: Any) -> str:
    """A setup, or anything in it, as text: what is labelled again when it changes."""
    if isinstance(what, Setup):
        parts = {f.name: getattr(what, f.name) for f in fields(what) if f.name != "name"}
        return f"Setup({_listed(parts)})"
    if isinstance(what, partial):
        return f"{what.func.__name__}({_listed(what.keywords)})"
    if isinstance(what, Rule):
        return f"{what.title}({_listed(what.defaults)})"
    return what.__name__ if hasattr(what, "__name__") else repr(what)


def _listed(parts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={described(value)}" for name, value in parts.items())
