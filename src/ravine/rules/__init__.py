"""Update rules: each is one algorithm box, written once, as pure functions of tensors."""

from __future__ import annotations

from collections.abc import Callable

from ravine.errors import UnknownNameError
from ravine.rules._rule import Granularity, Hyper, Rule, State, at_param
from ravine.rules.adadelta import adadelta
from ravine.rules.adagrad import adagrad
from ravine.rules.adam import adam, adamw, amsgrad, nadam
from ravine.rules.momentum import heavy_ball, momentum, nesterov, nesterov_buffer
from ravine.rules.rmsprop import rmsprop, rmsprop_inside, rmsprop_momentum, rmsprop_nesterov
from ravine.rules.sgd import sgd

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
}
"""The names of the command line, each with the constructor of its rule."""


def get(name: str) -> Rule:
    """The rule that goes by `name` on the command line, with its default hyperparameters.

    Raises:
        UnknownNameError: no rule goes by that name.
    """
    if name not in REGISTRY:
        raise UnknownNameError.of("optimizer", name, REGISTRY, "ravine optimizers")
    return REGISTRY[name]()


__all__ = [
    "REGISTRY",
    "Granularity",
    "Hyper",
    "Rule",
    "State",
    "adadelta",
    "adagrad",
    "adam",
    "adamw",
    "amsgrad",
    "at_param",
    "get",
    "heavy_ball",
    "momentum",
    "nadam",
    "nesterov",
    "nesterov_buffer",
    "rmsprop",
    "rmsprop_inside",
    "rmsprop_momentum",
    "rmsprop_nesterov",
    "sgd",
]
