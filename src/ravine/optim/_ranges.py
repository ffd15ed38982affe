"""In which range every hyperparameter lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ravine.rules import Rule


class Range(NamedTuple):
    """A range, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


FROM_ZERO = Range("a finite number >= 0", lambda x: 0 <= x < math.inf)
FINITE = Range("a finite number", lambda x: -math.inf < x < math.inf)
ABOVE_ZERO = Range("a finite number > 0", lambda x: 0 < x < math.inf)
UP_TO_ZERO = Range("a finite number <= 0", lambda x: -math.inf < x <= 0)
ABOVE_ONE = Range("a finite number > 1", lambda x: 1 < x < math.inf)
DECAY = Range("in [0, 1)", lambda x: 0 <= x < 1)
SHARE = Range("in [0, 1]", lambda x: 0 <= x <= 1)
INTERPOLATION = Range("in (0, 1]", lambda x: 0 < x <= 1)
BETWEEN = Range("in (0, 1)", lambda x: 0 < x < 1)
COUNT = Range("a whole number >= 1", lambda x: x >= 1 and x == int(x))
ITERATIONS = Range("a whole number from 0 to 99", lambda x: 0 <= x < 100 and x == int(x))

RANGES: Mapping[str, Range] = {
    "alpha": FROM_ZERO,
    "average_decay": DECAY,
    "average_every": COUNT,
    "average_start": FROM_ZERO,
    "beta1": DECAY,
    "beta2": DECAY,
    "beta2_decay": UP_TO_ZERO,
    "clipping": FROM_ZERO,
    "clipping_eps": FROM_ZERO,
    "d": ABOVE_ZERO,
    "dampening": FINITE,
    "eps": FROM_ZERO,
    "eps1": FROM_ZERO,
    "eps2": FROM_ZERO,
    "eta_minus": BETWEEN,
    "eta_plus": ABOVE_ONE,
    "initial_accumulator_value": FROM_ZERO,
    "kappa": FROM_ZERO,
    "lambd": FROM_ZERO,
    "lr": FROM_ZERO,
    "lr_decay": FROM_ZERO,
    "max_norm": FROM_ZERO,
    "max_precond_dim": COUNT,
    "max_value": FROM_ZERO,
    "momentum": FROM_ZERO,
    "momentum_decay": FROM_ZERO,
    "ns_steps": ITERATIONS,
    "phi": SHARE,
    "precondition_frequency": COUNT,
    "r": FINITE,
    "rho": SHARE,
    "step_max": ABOVE_ZERO,
    "step_min": FROM_ZERO,
    "t0": FROM_ZERO,
    "theta": DECAY,
    "trust_coefficient": ABOVE_ZERO,
    "update_every": COUNT,
    "warmup_steps": FROM_ZERO,
    "weight_decay": FROM_ZERO,
    "weight_lr_power": FINITE,
}
"""Ranges by the names that rules have."""

_OF_RULE: Mapping[str, Mapping[str, Range]] = {
    "rmsprop": {"alpha": SHARE},
    "rmsprop_inside": {"alpha": SHARE},
    "rmsprop_momentum": {"alpha": SHARE},
    "rmsprop_nesterov": {"alpha": SHARE},
    "schedule_free_sgd": {"momentum": INTERPOLATION},  # at 0 the average would be divided by it
    "schedule_free_adamw": {"beta1": INTERPOLATION},
    "shampoo": {"eps": ABOVE_ZERO},
    "signum": {"momentum": DECAY},
}
"""Ranges that are other for some rules."""


def ranges_of(rule: Rule) -> Mapping[str, Range]:
    """The ranges of a rule's hyperparameters, and of its constructor's choices."""
    return {**RANGES, **_OF_RULE.get(rule.name, {})}
