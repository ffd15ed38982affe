"""Update rules: each is one algorithm box, written once, as pure functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ravine.errors import SettingError, UnknownNameError
from ravine.rules._rule import Granularity, Hyper, Rule, State, at_param
from ravine.rules._tuning import Span
from ravine.rules.adadelta import adadelta
from ravine.rules.adafactor import adafactor
from ravine.rules.adagrad import adagrad
from ravine.rules.adam import adam, adamw, amsgrad, nadam
from ravine.rules.adamax import adamax
from ravine.rules.asgd import asgd
from ravine.rules.delta_bar_delta import delta_bar_delta
from ravine.rules.lamb import lamb
from ravine.rules.lars import lars
from ravine.rules.lion import lion
from ravine.rules.momentum import heavy_ball, momentum, nesterov, nesterov_buffer
from ravine.rules.muon import muon, muon_adamw
from ravine.rules.radam import radam
from ravine.rules.rmsprop import rmsprop, rmsprop_inside, rmsprop_momentum, rmsprop_nesterov
from ravine.rules.rprop import rprop
from ravine.rules.schedule_free import schedule_free_adamw, schedule_free_sgd
from ravine.rules.sgd import sgd
from ravine.rules.shampoo import shampoo
from ravine.rules.sign_sgd import sign_sgd, signum
from ravine.rules.soap import soap

REGISTRY: dict[str, Callable[[], Rule]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "rmsprop_inside": rmsprop_inside,
    "rmsprop_momentum": rmsprop_momentum,
    "rmsprop_nesterov": rmsprop_nesterov,
    "adadelta": adadelta,
    "adam": adam,
    "amsgrad": amsgrad,
    "adamw": adamw,
    "nadam": nadam,
    "adamax": adamax,
    "radam": radam,
    "asgd": asgd,
    "delta_bar_delta": delta_bar_delta,
    "rprop": rprop,
    "lion": lion,
    "sign_sgd": sign_sgd,
    "signum": signum,
    "schedule_free_sgd": schedule_free_sgd,
    "schedule_free_adamw": schedule_free_adamw,
    "lars": lars,
    "lamb": lamb,
    "adafactor": adafactor,
    "muon": muon_adamw,
    "shampoo": shampoo,
    "soap": soap,
}
"""The names of the command line, each with the constructor of its rule."""


@cache
def get(name: str) -> Rule:
    """The rule that goes by `name` on the command line, with its default hyperparameters; the same
    object each time.

    Raises:
        UnknownNameError: no rule goes by that name.
    """
    if name not in REGISTRY:
        raise UnknownNameError.of("optimizer", name, REGISTRY, "ravine optimizers")
    return REGISTRY[name]()


def as_rule(given: Rule | str) -> Rule:
    """The rule itself, or the one of that name.

    Raises:
        UnknownNameError: no rule goes by that name.
        SettingError: it is something else.
    """
    if isinstance(given, Rule):
        return given
    if isinstance(given, str):
        return get(given)
    if given in REGISTRY.values():
        raise SettingError(
            f"{given.__name__} makes a rule and is none: call it, rules.{given.__name__}(), or pass "
            "its name."
        )
    raise SettingError(
        f'{given!r} is no rule: pass a name, such as "adamw", a rule, such as rules.adam(), or a '
        "chain, such as chain(clip_norm(1.0), rules.adam())."
    )


__all__ = [
    "REGISTRY",
    "Granularity",
    "Hyper",
    "Rule",
    "Span",
    "State",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "as_rule",
    "asgd",
    "at_param",
    "delta_bar_delta",
    "get",
    "heavy_ball",
    "lamb",
    "lars",
    "lion",
    "momentum",
    "muon",
    "muon_adamw",
    "nadam",
    "nesterov",
    "nesterov_buffer",
    "radam",
    "rmsprop",
    "rmsprop_inside",
    "rmsprop_momentum",
    "rmsprop_nesterov",
    "rprop",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
    "shampoo",
    "sign_sgd",
    "signum",
    "soap",
]
