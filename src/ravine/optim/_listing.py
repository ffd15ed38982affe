"""What there is to know of a rule before it is used: memory, engines, class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ravine.engines.memory import TYPICAL, memory_per_element
from ravine.rules import Granularity, Rule

CLASSES: Mapping[str, str] = {
    "sgd": "SGD(params)",
    "momentum": "Momentum(params)",
    "nesterov": "Nesterov(params)",
    "adagrad": "Adagrad(params)",
    "rmsprop": "RMSprop(params)",
    "rmsprop_momentum": "RMSprop(params, momentum=0.9)",
    "rmsprop_nesterov": "RMSpropNesterov(params)",
    "adadelta": "Adadelta(params)",
    "adam": "Adam(params)",
    "amsgrad": "Adam(params, amsgrad=True)",
    "adamw": "AdamW(params)",
    "nadam": "NAdam(params)",
    "adamax": "Adamax(params)",
    "radam": "RAdam(params)",
    "asgd": "ASGD(params)",
    "delta_bar_delta": "DeltaBarDelta(params)",
    "rprop": "Rprop(params)",
    "lion": "Lion(params)",
    "sign_sgd": "SignSGD(params)",
    "signum": "Signum(params)",
    "schedule_free_sgd": "ScheduleFreeSGD(params)",
    "schedule_free_adamw": "ScheduleFreeAdamW(params)",
    "lars": "LARS(params)",
    "lamb": "LAMB(params)",
    "adafactor": "Adafactor(params)",
    "muon": "MuonAdamW(params)",
    "shampoo": "Shampoo(params)",
    "soap": "SOAP(params, weight_decay=0)",
}
"""The class in `ravine.optim` that runs a rule, by the rule's name. `ravine.Optimizer` runs any."""

ENGINES: Mapping[Granularity, Mapping[str, str]] = {
    "elementwise": {
        "eager": "one parameter after the other",
        "compiled": "on the CPU one C++ kernel over all parameters, where they are; elsewhere one "
        "over a flat block of small parameters, and over each large one",
        "population": "one kernel over all weights of all members",
    },
    "tensor": {
        "eager": "one parameter after the other",
        "compiled": "one kernel over the rows of a block of parameters of one size",
        "population": "one kernel over each parameter of all members",
    },
    "matrix": {
        "eager": "one parameter after the other",
        "compiled": "one traced graph over stacked parameters of one shape; compiled from a million "
        "elements on, unless it multiplies or decomposes matrices",
        "population": "one traced graph over each parameter of all members, not compiled",
    },
}
"""How each engine runs a rule."""


def described(rule: Rule) -> dict[str, Any]:
    """All that `ravine optimizers --json` says of a rule.

    Returns:
        name, title, defaults, granularity, source; "class", an expression in `ravine.optim`, or one
        with `ravine.Optimizer`; "memory", {"words", "bytes", "shape"} per element of a float32
        parameter of that shape; "engines", name -> how it runs the rule; "tunable", where a search
        of more than the learning rate looks, hyperparameter -> {"lo", "hi", "scale", "source"}.
    """
    memory = memory_per_element(rule)
    return {
        "name": rule.name,
        "title": rule.title,
        "defaults": dict(rule.defaults),
        "granularity": rule.granularity,
        "source": rule.source,
        "class": CLASSES.get(rule.name, f'Optimizer(params, "{rule.name}")'),
        "memory": {"words": memory.words, "bytes": memory.bytes, "shape": list(TYPICAL)},
        "engines": dict(ENGINES[rule.granularity]),
        "tunable": {name: asdict(span) for name, span in rule.tunable.items()},
    }
