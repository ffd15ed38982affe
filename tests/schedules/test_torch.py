"""Where torch has the same scheduler, its values are the same.

By torch's closed forms, where it has one beside the recursion that rounds at every step.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from ravine.schedules import (
    Schedule,
    constant,
    cosine,
    cosine_restarts,
    exponential,
    join,
    linear,
    one_cycle,
    one_cycle_momentum,
    piecewise,
    polynomial,
    ramp,
    step,
)

STEPS = 10_000
Make = Callable[[Any], Any]

CLOSED: list[tuple[Schedule, Make]] = [
    (step(300, 0.7), lambda o: lr_scheduler.StepLR(o, 300, gamma=0.7)),
    (
        piecewise([100, 2000, 5000], [1, 0.5, 0.25, 0.125]),
        lambda o: lr_scheduler.MultiStepLR(o, [100, 2000, 5000], gamma=0.5),
    ),
    (exponential(-math.log(0.999)), lambda o: lr_scheduler.ExponentialLR(o, gamma=0.999)),
    (linear(7000), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.01, total_iters=7000)),
    (ramp(0.2, 1.0, 700), lambda o: lr_scheduler.LinearLR(o, 0.2, 1.0, total_iters=700)),
    (
        piecewise([700], [0.2, 1.0]),
        lambda o: lr_scheduler.ConstantLR(o, factor=0.2, total_iters=700),
    ),
    (polynomial(7000, power=0.9), lambda o: lr_scheduler.PolynomialLR(o, 7000, power=0.9)),
    (cosine(STEPS), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
    (cosine(STEPS, final=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1)),
]

STEPPED: list[tuple[Schedule, Make]] = [
    (cosine_restarts(300), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 300)),
    (
        cosine_restarts(7, growth=3, final=0.05),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7, T_mult=3, eta_min=0.05),
    ),
    (one_cycle(STEPS), lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=STEPS)),
    (
        one_cycle(STEPS, rise=0.45, start=0.1, final=0.001),
        lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=1.0, total_steps=STEPS, pct_start=0.45, div_factor=10, final_div_factor=100
        ),
    ),
    (
        join([ramp(0.25, 1.0, 400), step(1000, 0.5)], [400]),
        lambda o: lr_scheduler.SequentialLR(
            o,
            [
                lr_scheduler.LinearLR(o, 0.25, 1.0, total_iters=400),
                lr_scheduler.StepLR(o, 1000, gamma=0.5),
            ],
            milestones=[400],
        ),
    ),
    (constant(), lambda o: lr_scheduler.LambdaLR(o, lambda k: 1.0)),
]


def base() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.9)


@pytest.mark.parametrize(("schedule", "make"), CLOSED, ids=lambda x: getattr(x, "name", ""))
def test_closed_forms_of_torch(schedule: Schedule, make: Make) -> None:
    scheduler = make(base())
    for k in range(STEPS):
        scheduler.last_epoch = k
        (expected,) = scheduler._get_closed_form_lr()
        assert abs(schedule(k) - expected) <= 1e-13


@pytest.mark.parametrize(("schedule", "make"), STEPPED, ids=lambda x: getattr(x, "name", ""))
def test_steps_of_torch(schedule: Schedule, make: Make) -> None:
    """SequentialLR's linear part multiplies 400 times."""
    optimizer = base()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter in `scheduler.step")
        scheduler = make(optimizer)
        for k in range(STEPS):
            assert abs(schedule(k) - optimizer.param_groups[0]["lr"]) <= 1e-12
            optimizer.step()
            scheduler.step()


def test_momentum_of_one_cycle() -> None:
    optimizer, schedule = base(), one_cycle_momentum(STEPS)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=STEPS)
    for k in range(STEPS):
        assert abs(schedule(k) - optimizer.param_groups[0]["momentum"]) <= 1e-13
        optimizer.step()
        scheduler.step()
