"""Training loops as they are written for torch: groups, schedulers, closures, hooks, scaling."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ravine.optim
from tests.cases import TOLERANCE, difference
from tests.optim.trials import (
    ALL,
    NAMES,
    STEPS,
    Optimizer,
    Trial,
    assert_same,
    ours,
    shape_for,
    side_by_side,
    theirs,
    trial,
    twins,
)

FLAGS = ("capturable", "differentiable", "foreach", "fused")


def flagged(flag: str) -> list[str]:
    """The twins that have an option of this name."""
    return [name for name in NAMES if flag in theirs(name).__init__.__code__.co_varnames]


@twins
def test_param_groups_and_added_groups(name: str, options: dict[str, Any]) -> None:
    climbing = {} if name == "Muon" else {"maximize": True}

    def make(new: Callable[..., Optimizer], model: nn.Module) -> Optimizer:
        (first, *others), last = model[0].parameters(), model[2]
        groups: list[dict[str, Any]] = [{"params": first, "lr": 0.003}]
        if others:
            groups.append({"params": others, "weight_decay": 0.2})
        optimizer = new(groups, **options)
        optimizer.add_param_group({"params": last.parameters(), **climbing, "lr": 1e-4})
        return optimizer

    mine, torch_own = side_by_side(name, make)
    assert_same(mine.run(STEPS), torch_own.run(STEPS))


@twins
@pytest.mark.parametrize("tensor_lr", [False, True])
def test_schedulers_move_the_lr(name: str, options: dict[str, Any], tensor_lr: bool) -> None:
    lr = torch.tensor(0.01) if tensor_lr else 0.01
    trials = side_by_side(
        name, lambda new, model: new(model.parameters(), **{**options, "lr": copy.deepcopy(lr)})
    )
    for each in trials:
        each.scheduler = torch.optim.lr_scheduler.StepLR(each.optimizer, 6, gamma=0.3)
        each.run(STEPS)
    assert_same(*trials)
    assert float(trials[0].optimizer.param_groups[0]["lr"]) == pytest.approx(0.01 * 0.3**3)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam"])
def test_one_cycle_moves_momentum_and_betas(name: str) -> None:
    options = {} if name == "Adam" else {"momentum": 0.9}
    trials = side_by_side(name, lambda new, model: new(model.parameters(), lr=0.01, **options))
    for each in trials:
        each.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            each.optimizer, max_lr=0.02, total_steps=STEPS + 1
        )
        each.run(STEPS)
    assert_same(*trials)


@twins
def test_closures(name: str, options: dict[str, Any]) -> None:
    losses = []
    for each in side_by_side(name, lambda new, model: new(model.parameters(), **options)):
        losses.append([each.optimizer.step(each.closure).item() for _ in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_named_parameters_and_hooks() -> None:
    model, calls = nn.Linear(2, 1), []
    optimizer = ravine.optim.Adam(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    optimizer.register_step_pre_hook(lambda *args: calls.append("before"))
    optimizer.register_step_post_hook(lambda *args: calls.append("after"))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert calls == ["before", "after"]


def test_a_group_may_be_empty() -> None:
    """As where all parameters of a model decay."""
    trials = side_by_side(
        "Adam",
        lambda new, model: new([{"params": model.parameters()}, {"params": [], "lr": 1.0}]),
    )
    assert_same(*(each.run(3) for each in trials))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_continue(name: str, clone: Callable[[Optimizer], Optimizer]) -> None:
    each = trial(name, engine="eager").run(3)
    copied = clone(each.optimizer)
    assert copied.engine == "eager"
    pairs = list(zip(each.model.parameters(), copied.param_groups[0]["params"], strict=True))
    for param, twin in pairs:
        twin.grad = torch.ones_like(twin)
        param.grad = torch.ones_like(param)
    copied.step()
    each.optimizer.step()
    for param, twin in pairs:
        assert torch.equal(param, twin)


@pytest.mark.parametrize("name", flagged("foreach"))
@pytest.mark.parametrize("flag", ["foreach", "fused", "capturable"])
@pytest.mark.parametrize("value", [None, False, True])
def test_how_torch_would_run_changes_nothing(name: str, flag: str, value: bool | None) -> None:
    if name not in flagged(flag):
        return
    if flag == "capturable" and value is None:
        return
    asked, plain = trial(name, **{flag: value}), trial(name)
    assert (asked.run(5).weights() == plain.run(5).weights()).all()


def scaled(make: Callable[[nn.Module], Optimizer]) -> tuple[list[bool], Any]:
    """A loop with a gradient scaler; the third gradient overflows."""
    each = Trial(make)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4, growth_interval=2)
    moved = []
    for k in range(6):
        before = each.weights()
        each.optimizer.zero_grad()
        scaler.scale(each.loss() * (float("inf") if k == 2 else 1.0)).backward()
        scaler.step(each.optimizer)
        scaler.update()
        moved.append(bool((each.weights() != before).any()))
        each.k += 1
    return moved, each


@pytest.mark.parametrize("name", ["SGD", "Adam", "RAdam"])
def test_a_gradient_scaler_skips_steps(name: str) -> None:
    moved, mine = scaled(lambda model: ours(name)(model.parameters()))
    _, torch_own = scaled(lambda model: theirs(name)(model.parameters()))
    assert moved == [True, True, False, True, True, True]
    assert_same(mine, torch_own)


def stepped(new: Callable[..., Optimizer], start: Tensor, lr: Any, slope: Any) -> Tensor:
    """A sum of squares after three steps, gradients of which depend on θ and on `slope`."""
    param = start.clone()
    optimizer = new([param], lr=lr, differentiable=True)
    for k in range(3):
        param.grad = slope * param.clone() + 0.1 * k + slope**2 * torch.ones_like(start)
        optimizer.step()
    return param.square().sum()


def derivatives(new: Callable[..., Optimizer], name: str, by_rate: bool) -> list[Tensor]:
    """The derivatives of `stepped` by the start, by the slope and by the rate."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape_for(name), generator=generator).requires_grad_()
    slope = torch.tensor(0.8, requires_grad=True)
    lr = torch.tensor(0.1, requires_grad=True) if by_rate else 0.1
    inputs = [start, slope, lr] if by_rate else [start, slope]
    return list(torch.autograd.grad(stepped(new, start, lr, slope), inputs, allow_unused=True))


TORCH_CANNOT = ("Adamax", "Rprop")
"""Classes of torch that write over what a second step's gradient needs (RuntimeError, torch 2.13)."""


@pytest.mark.parametrize("name", [n for n in flagged("differentiable") if n not in TORCH_CANNOT])
def test_gradients_flow_through_steps_as_in_torch(name: str) -> None:
    by_rate = name in ("SGD", "Adam", "AdamW")  # where torch takes a rate that requires a gradient
    mine, torch_own = (derivatives(new, name, by_rate) for new in (ours(name), theirs(name)))
    for one, other in zip(mine, torch_own, strict=True):
        assert other.abs().max() > 0
        assert difference(one.numpy(), other.numpy()) <= TOLERANCE


@pytest.mark.parametrize("name", flagged("differentiable"))
def test_gradients_by_the_rate(name: str) -> None:
    """Against central differences; a change of 1e-5 leaves an error of about 1e-10."""
    start = torch.randn(shape_for(name), generator=torch.Generator().manual_seed(0))
    lr, slope, h = torch.tensor(0.1, requires_grad=True), torch.tensor(0.8), 1e-5
    (found,) = torch.autograd.grad(stepped(ours(name), start, lr, slope), [lr])
    with torch.no_grad():
        above, below = (stepped(ours(name), start, 0.1 + d, slope) for d in (h, -h))
    assert found.item() == pytest.approx(((above - below) / (2 * h)).item(), rel=1e-7)
