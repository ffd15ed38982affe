"""Every learning-rate scheduler of torch on ravine's classes, against torch's own classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch.optim import lr_scheduler

from tests.cases import TOLERANCE
from tests.optim.trials import Trial, assert_same, side_by_side, through_file

STEPS = 40
Optimizer = Any
Make = Callable[[Optimizer], Any]


def sequential(optimizer: Optimizer) -> Any:
    parts = [
        lr_scheduler.LinearLR(optimizer, 0.2, total_iters=8),
        lr_scheduler.ExponentialLR(optimizer, gamma=0.9),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[8])


def chained(optimizer: Optimizer) -> Any:
    parts = [
        lr_scheduler.ConstantLR(optimizer, factor=0.3, total_iters=5),
        lr_scheduler.ExponentialLR(optimizer, gamma=0.95),
    ]
    return lr_scheduler.ChainedScheduler(parts, optimizer=optimizer)


SCHEDULERS: dict[str, Make] = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda k: 1 / (1 + 0.1 * k)),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda k: 0.9 + 0.001 * k),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 6, gamma=0.3),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [3, 4, 20], gamma=0.5),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, factor=0.3, total_iters=10),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, 0.8, total_iters=15),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.93),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=30, power=1.5),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=25, eta_min=1e-4),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(
        o, 5, T_mult=2
    ),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.001, 0.03, step_size_up=7, mode="triangular2"),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.03, total_steps=STEPS + 1),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=1),
    "SequentialLR": sequential,
    "ChainedScheduler": chained,
}
PLATEAUS = 1 / (1 + np.arange(2 * STEPS) // 6)
"""What `ReduceLROnPlateau` watches: it falls every sixth step only."""

CLASSES = {"SGD": {"lr": 0.02, "momentum": 0.9}, "Adam": {"lr": 0.02}}

schedulers = pytest.mark.parametrize("scheduler", SCHEDULERS)
classes = pytest.mark.parametrize("name", CLASSES)


def moved(group: dict[str, Any]) -> tuple[float, float]:
    """What schedulers write: the rate, and the momentum or the first beta."""
    return float(group["lr"]), float(group["betas"][0] if "betas" in group else group["momentum"])


def go(each: Trial, steps: int) -> list[tuple[float, float]]:
    """Take steps of the optimizer and of its scheduler; (rate, momentum) at every one."""
    path = []
    plateau = isinstance(each.scheduler, lr_scheduler.ReduceLROnPlateau)
    for _ in range(steps):
        path.append(moved(each.optimizer.param_groups[0]))
        each.optimizer.step(each.closure)
        each.scheduler.step(*([float(PLATEAUS[each.k])] if plateau else []))
        each.k += 1
    return path


def started(name: str, scheduler: str) -> tuple[Trial, Trial]:
    """Of ravine's class and of torch's."""
    pair = side_by_side(name, lambda new, model: new(model.parameters(), **CLASSES[name]))
    for each in pair:
        each.scheduler = SCHEDULERS[scheduler](each.optimizer)
    return pair


def test_the_table_has_all_of_torch() -> None:
    found = {
        name
        for name, value in vars(lr_scheduler).items()
        if isinstance(value, type) and value.__module__ == lr_scheduler.__name__
    }
    bases = {name for name in found if name.startswith("_")} | {"LRScheduler", "SWALR"}
    assert found - bases <= {*SCHEDULERS, "Counter", "partial"}


@schedulers
@classes
def test_same_path_as_torch(name: str, scheduler: str) -> None:
    mine, torch_own = started(name, scheduler)
    path, expected = go(mine, STEPS), go(torch_own, STEPS)
    assert path == expected  # the same Python arithmetic
    assert_same(mine, torch_own)
    rates, momenta = np.array(path).T
    assert rates.max() > 1.5 * rates.min()
    assert (momenta.max() > momenta.min()) == (scheduler in ("CyclicLR", "OneCycleLR"))


@schedulers
@classes
def test_a_stop_changes_nothing(name: str, scheduler: str) -> None:
    """Optimizer and scheduler from checkpoints, as torch's tutorials save them."""
    straight, broken = started(name, scheduler)[0], started(name, scheduler)[0]
    path = go(straight, STEPS)
    go(broken, 17)
    saved = broken.optimizer.state_dict(), broken.scheduler.state_dict()
    resumed = started(name, scheduler)[0]
    resumed.model.load_state_dict(broken.model.state_dict())
    resumed.scheduler.load_state_dict(saved[1])
    resumed.optimizer.load_state_dict(through_file(saved[0]))
    resumed.k = broken.k
    rest = go(resumed, STEPS - 17)
    assert np.max(np.abs(np.array(rest) - np.array(path[17:]))) <= TOLERANCE
    assert_same(resumed, straight)
