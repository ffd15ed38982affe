"""How a training procedure is written in PyTorch code: lines to paste into a training loop.

The one place where a rule, a schedule, a start and an order of examples become text.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ravine import batches, initializers, rules, schedules
from ravine.rules import Rule, at_param
from ravine.schedules import Schedule

Hyper = Mapping[str, float]
Options = Callable[[Hyper], dict[str, Any]]


def _named(*names: str, **fixed: Any) -> Options:
    """Options of the hyperparameters' own names, and others that are always the same."""
    return lambda hyper: {name: hyper[name] for name in names} | fixed


def _adam(*names: str, **fixed: Any) -> Options:
    more = _named("eps", *names, **fixed)
    return lambda hyper: {"betas": (hyper["beta1"], hyper["beta2"]), **more(hyper)}


def _rprop(hyper: Hyper) -> dict[str, Any]:
    return {
        "etas": (hyper["eta_minus"], hyper["eta_plus"]),
        "step_sizes": (hyper["step_min"], hyper["step_max"]),
    }


def _adafactor(hyper: Hyper) -> dict[str, Any]:
    more = _named("beta2_decay", "d", "weight_decay")
    return {"eps": (None, hyper["eps2"]), **more(hyper)}


TORCH: Mapping[str, tuple[str, Options]] = {
    "sgd": ("SGD", _named()),
    "momentum": ("SGD", _named("momentum")),
    "adagrad": ("Adagrad", _named("lr_decay", "eps")),
    "rmsprop": ("RMSprop", _named("alpha", "eps")),
    "rmsprop_momentum": ("RMSprop", _named("alpha", "eps", "momentum")),
    "adadelta": ("Adadelta", _named("rho", "eps")),
    "adam": ("Adam", _adam()),
    "amsgrad": ("Adam", _adam(amsgrad=True)),
    "adamw": ("AdamW", _adam("weight_decay")),
    "nadam": ("NAdam", _adam("momentum_decay")),
    "adamax": ("Adamax", _adam()),
    "radam": ("RAdam", _adam()),
    "rprop": ("Rprop", _rprop),
    "adafactor": ("Adafactor", _adafactor),
}
"""Rules of which torch.optim has the very formula: its class, and the options for hyperparameters. Its
Nesterov momentum and its ASGD are missing: they train with other weights than are to be evaluated."""

ONLY_CONSTANT = ("momentum",)
"""Torch's buffer holds gradients and not steps, which is the same as long as the rate is."""


def snippet(
    rule: Rule | None,
    title: str,
    hyper: Hyper,
    schedules_of: Mapping[str, str],
    start: str,
    order: str,
) -> str:
    """The lines that set up one procedure, for a `model`.

    Args:
        rule: the rule, made by its name alone; None: one of the user's own.
        title: its name in print.
        hyper: its hyperparameters.
        schedules_of: hyperparameter -> schedule in code (see `written`), as in `ravine.Procedure`.
        start, order: by name; "as_built" and "shuffled" need no line.
    """
    lines = [] if start == "as_built" else [starting(start)]
    varying = {name: code for name, code in schedules_of.items() if name != "lr"}
    if rule is None:
        shown = {"lr": number(hyper["lr"]), **varying}
        lines.append(f"optimizer = {_call('ravine.Optimizer', 'rule', shown)}  # rule: {title}")
    elif varying or (rule.name in ONLY_CONSTANT and "lr" in schedules_of):
        lines.append(f"optimizer = {by_ravine(rule, hyper, varying)}")
    else:
        lines.append(f"optimizer = {by_torch(rule, hyper)}")
    if "lr" in schedules_of:
        lines.append(f"scheduler = {scheduling(schedules_of['lr'])}")
    if order != "shuffled":
        lines.append(f"sampler = {ordering(order)}")
    if rule is not None and (rule.probe, rule.output) != (at_param, at_param):
        lines.append("# optimizer.eval() before evaluating or saving, optimizer.train() after it")
    return "\n".join(lines)


def by_torch(rule: Rule, hyper: Hyper) -> str:
    """A rule of the registry as torch's class where it has the same formula, else as ravine's."""
    if rule.name not in TORCH:
        return by_ravine(rule, hyper)
    kind, options = TORCH[rule.name]
    known = inspect.signature(getattr(torch.optim, kind)).parameters
    given = {name: value for name, value in options(hyper).items() if value != known[name].default}
    shown = {name: _shown(value) for name, value in {"lr": hyper["lr"], **given}.items()}
    return _call(f"torch.optim.{kind}", "", shown)


def by_ravine(rule: Rule, hyper: Hyper, varying: Mapping[str, str] | None = None) -> str:
    """A rule of the registry by its name, with the hyperparameters that are not its defaults.

    Args:
        rule, hyper: which.
        varying: hyperparameter -> its schedule in code.
    """
    usual = rules.get(rule.name).defaults
    given = {n: number(value) for n, value in hyper.items() if n == "lr" or value != usual[n]}
    shown = {"lr": number(hyper["lr"]), **given, **(varying or {})}
    return _call("ravine.Optimizer", f'"{rule.name}"', shown)


def scheduling(schedule: str) -> str:
    """A schedule, in code, as torch's scheduler of an `optimizer`."""
    return (
        f"torch.optim.lr_scheduler.LambdaLR(optimizer, {schedule})"
        "  # scheduler.step() after each optimizer.step()"
    )


def written(schedule: Schedule, steps: int) -> str:
    """A schedule in code: by its name for a training of so many steps, or as it was made."""
    for name in schedules.NAMES:
        for text in (name, f"warmup+{name}"):
            if _is(text, steps, schedule):
                return f'ravine.schedules.named("{text}", {steps})'
    return re.sub(r"\b([a-z_]+)\(", r"ravine.schedules.\1(", repr(schedule))


def starting(start: str) -> str:
    """A start, by name, of a `model`."""
    if start in initializers.NAMES:
        return f'ravine.initializers.initialize(model, "{start}")'
    return f'ravine.initializers.start("{start}")(model, seed, inputs, targets, cost)'


def ordering(order: str) -> str:
    """An order of examples, by name, as a batch sampler for torch's DataLoader."""
    if order not in batches.NAMES:
        return f"None  # your own order of examples: {order}"
    made = "stratified(targets)" if order == "stratified" else f"{order}()"
    return (
        f"ravine.batches.sampler(ravine.batches.{made}, len(dataset), batch_size, seed)"
        "  # DataLoader(dataset, batch_sampler=sampler)"
    )


def number(value: float) -> str:
    """A number as it is typed: short where that is the very number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return number(value) if isinstance(value, float) else repr(value)


def _call(what: str, rule: str, options: Mapping[str, str]) -> str:
    given = [f"{name}={value}" for name, value in options.items()]
    return f"{what}({', '.join(filter(None, ['model.parameters()', rule, *given]))})"


def _is(text: str, steps: int, schedule: Schedule) -> bool:
    try:
        return schedules.named(text, steps) == schedule
    except ValueError:  # fewer steps than it needs
        return False
