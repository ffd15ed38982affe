"""Schedules: step -> factor of the learning rate, or value of any hyperparameter; pure.

    constant, linear, polynomial, cosine    over a number of steps
    step, exponential,                      without an end
      inverse_time, inverse_sqrt
    cosine_restarts, one_cycle,             up and down
      warmup, warmup_stable_decay
    piecewise, join, *                      put together: one after the other, or multiplied
    ramp, sutskever_momentum,               values of a momentum
      one_cycle_momentum
    function                                any function of the step

    ravine.Optimizer(params, "momentum", lr=0.1 * cosine(1000), momentum=ramp(0.5, 0.99, 500))

A schedule says whether it satisfies the condition of Robbins and Monro: `schedule.check()`.
`named("warmup+cosine", steps)` is what the command line understands; `NAMES` are all of them.
`range_test` and `suggest` find a learning rate to begin with.
"""

from ravine.schedules._decays import (
    cosine,
    cosine_restarts,
    exponential,
    inverse_sqrt,
    inverse_time,
    linear,
    polynomial,
    step,
)
from ravine.schedules._momentum import ramp, sutskever_momentum
from ravine.schedules._names import NAMES, named
from ravine.schedules._pieces import join, piecewise
from ravine.schedules._range_test import Suggestion, range_test, suggest
from ravine.schedules._schedule import RobbinsMonro, Schedule, constant, function
from ravine.schedules._warmup import one_cycle, one_cycle_momentum, warmup, warmup_stable_decay

__all__ = [
    "NAMES",
    "RobbinsMonro",
    "Schedule",
    "Suggestion",
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "function",
    "inverse_sqrt",
    "inverse_time",
    "join",
    "linear",
    "named",
    "one_cycle",
    "one_cycle_momentum",
    "piecewise",
    "polynomial",
    "ramp",
    "range_test",
    "step",
    "suggest",
    "sutskever_momentum",
    "warmup",
    "warmup_stable_decay",
]
