"""Classes that torch does not have: the paths of their rules, and the weights to evaluate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import ravine.optim
from ravine import rules
from ravine.errors import InputError
from ravine.transforms import decoupled, l2
from tests.cases import TOLERANCE, Ravine, difference, walk, walk_optimizer
from tests.optim.trials import ALL, OWN, WITH_OUTPUT, Trial, ours, trial

MATRIX = (4, 2)

PATHS: list[tuple[str, dict[str, Any], rules.Rule]] = [
    ("DeltaBarDelta", {}, rules.delta_bar_delta()),
    (
        "DeltaBarDelta",
        {"lr": 0.02, "kappa": 0.2, "phi": 0.3, "theta": 0.5, "weight_decay": 0.1},
        l2(0.1)(rules.delta_bar_delta(0.02, 0.2, 0.3, 0.5)),
    ),
    ("LAMB", {}, rules.lamb()),
    ("LAMB", {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3}, rules.lamb(0.02, 0.8, 0.9, 1e-3)),
    ("LARS", {}, rules.lars()),
    ("LARS", {"lr": 3.0, "trust_coefficient": 0.01}, rules.lars(3.0, trust_coefficient=0.01)),
    ("Lion", {}, rules.lion()),
    (
        "Lion",
        {"lr": 0.02, "betas": (0.7, 0.95), "weight_decay": 0.3},
        decoupled(0.3)(rules.lion(0.02, 0.7, 0.95)),
    ),
    ("Momentum", {"lr": 0.01}, rules.momentum(lr=0.01)),
    ("MuonAdamW", {}, rules.muon_adamw()),
    (
        "MuonAdamW",
        {"lr": 0.02, "momentum": 0.8, "ns_steps": 3, "weight_decay": 0.2},
        rules.muon_adamw(lr=0.02, momentum=0.8, ns_steps=3, weight_decay=0.2),
    ),
    ("SOAP", {"weight_decay": 0}, rules.soap()),
    (
        "SOAP",
        {"lr": 0.02, "betas": (0.8, 0.9), "precondition_frequency": 3, "max_precond_dim": 3},
        decoupled(0.01)(rules.soap(0.02, 0.8, 0.9, precondition_frequency=3, max_precond_dim=3)),
    ),
    ("Shampoo", {"eps": 0.01}, rules.shampoo(eps=0.01)),
    (
        "Shampoo",
        {"lr": 0.05, "eps": 0.01, "update_every": 4, "weight_decay": 0.2},
        decoupled(0.2)(rules.shampoo(0.05, eps=0.01, update_every=4)),
    ),
    ("SignSGD", {}, rules.sign_sgd()),
    ("SignSGD", {"lr": 0.02, "weight_decay": 0.3}, decoupled(0.3)(rules.sign_sgd(0.02))),
    ("Signum", {}, rules.signum()),
    (
        "Signum",
        {"lr": 0.02, "momentum": 0.7, "weight_decay": 0.3},
        decoupled(0.3)(rules.signum(0.02, 0.7)),
    ),
]
SHOWN: list[tuple[str, dict[str, Any], rules.Rule]] = [
    ("Nesterov", {"lr": 0.01, "momentum": 0.8}, rules.nesterov(0.01, 0.8)),
    (
        "RMSpropNesterov",
        {"lr": 0.01, "momentum": 0.8},
        rules.rmsprop_nesterov(lr=0.01, momentum=0.8),
    ),
]

SCHEDULE_FREE: list[tuple[str, dict[str, Any], rules.Rule]] = [
    ("ScheduleFreeSGD", {}, rules.schedule_free_sgd()),
    (
        "ScheduleFreeSGD",
        {"lr": 0.2, "momentum": 0.8, "warmup_steps": 10, "r": 0.5, "weight_lr_power": 1.5},
        rules.schedule_free_sgd(0.2, 0.8, warmup_steps=10, r=0.5, weight_lr_power=1.5),
    ),
    (
        "ScheduleFreeAdamW",
        {"lr": 0.02, "betas": (0.8, 0.9), "weight_decay": 0.1, "warmup_steps": 10},
        rules.schedule_free_adamw(0.02, 0.8, 0.9, weight_decay=0.1, warmup_steps=10),
    ),
]
"""The classes keep a `weight_decay` of their own at y, so it is no transform."""


@pytest.mark.parametrize(("name", "options", "rule"), [*PATHS, *SCHEDULE_FREE])
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_the_path_is_the_rule_s(
    name: str, options: dict[str, Any], rule: rules.Rule, engine: str
) -> None:
    problem = Ravine(shape=MATRIX if rule.granularity == "matrix" else (8,))
    path = walk_optimizer(lambda p: ours(name)(p, **options, engine=engine), problem)
    assert difference(path, walk(rule, problem)) <= 1e-11  # stacked matrices are added up otherwise


def test_every_class_is_tried() -> None:
    assert {name for name, *_ in (*PATHS, *SHOWN, *SCHEDULE_FREE)} == set(OWN)
    assert set(ravine.optim.__all__) == {*ALL, "SAM", "RuleOptimizer"}


@pytest.mark.parametrize(("name", "options", "rule"), SHOWN)
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_look_ahead_takes_the_gradient_at_the_probe(
    name: str, options: dict[str, Any], rule: rules.Rule, engine: str
) -> None:
    """An ordinary loop; θ, which eval() shows, walks the path of the paper's box."""
    problem = Ravine()
    path = shown(name, {**options, "engine": engine}, problem)
    assert difference(path, walk(rule, problem)) <= TOLERANCE


def shown(name: str, options: dict[str, Any], problem: Ravine) -> Any:
    """What eval() shows after every step of an ordinary loop."""
    param = torch.from_numpy(problem.start.copy()).requires_grad_()
    optimizer = ours(name)([param], **options)
    path = []
    for k in range(len(problem.noise)):
        param.grad = problem.gradient_at(param, k)
        optimizer.step()
        probe = param.detach().clone()
        optimizer.eval()
        path.append(param.detach().numpy().copy())
        optimizer.train()
        assert torch.equal(param, probe)
    return np.array(path)


@pytest.mark.parametrize(("name", "options", "rule"), SCHEDULE_FREE)
def test_schedule_free_shows_the_average(
    name: str, options: dict[str, Any], rule: rules.Rule
) -> None:
    """x, kept beside y and z by the box itself: x ← (1-c) x + c z with c = w / (sum of w)."""
    problem = Ravine()
    mine = shown(name, options, problem)
    start = torch.from_numpy(problem.start.copy())
    param = start.clone().requires_grad_()
    optimizer = ours(name)([param], **options)
    x, total, largest = start.clone(), 0.0, 0.0
    for k in range(len(problem.noise)):
        param.grad = problem.gradient_at(param, k)
        optimizer.step()
        warmup = options.get("warmup_steps", 0)
        rate = optimizer.param_groups[0]["lr"] * (min(1.0, (k + 1) / warmup) if warmup else 1.0)
        largest = max(largest, rate)
        weight = (k + 1) ** options.get("r", 0.0) * largest ** options.get("weight_lr_power", 2.0)
        total += weight
        x = x + weight / total * (optimizer.state[param]["z"] - x)
        assert difference(mine[k], x.numpy()) <= TOLERANCE


def test_asgd_shows_its_average() -> None:
    each = trial("ASGD", t0=3, lr=0.1).run(10)
    averages = [each.optimizer.state[p]["ax"].clone() for p in each.model.parameters()]
    points = [param.detach().clone() for param in each.model.parameters()]
    each.optimizer.eval()
    for param, average, point in zip(each.model.parameters(), averages, points, strict=True):
        assert torch.equal(param, average)
        assert not torch.equal(param, point)
    each.optimizer.train()
    assert all(map(torch.equal, each.model.parameters(), points))


def test_nesterov_shows_the_parameters_of_torch_nesterov() -> None:
    problem = Ravine()
    mine = walk_optimizer(lambda p: ravine.optim.Nesterov(p, lr=0.01, weight_decay=0.1), problem)
    torch_own = walk_optimizer(
        lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True, weight_decay=0.1), problem
    )
    assert difference(mine, torch_own) <= TOLERANCE


@pytest.mark.parametrize("name", OWN)
def test_maximize_climbs_as_descent_climbs_the_negative(name: str) -> None:
    def path(maximize: bool) -> Any:
        generator = torch.Generator().manual_seed(0)
        param = torch.randn(3, 2, generator=generator).requires_grad_()
        options = {"weight_decay": 0} if name in ("SOAP", "LAMB", "LARS", "MuonAdamW") else {}
        optimizer = ours(name)([param], maximize=maximize, **options)
        for _ in range(5):
            slope = param.detach() + torch.randn(3, 2, generator=generator)
            param.grad = slope if maximize else -slope
            optimizer.step()
        return param.detach()

    assert torch.equal(path(True), path(False))


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_step_in_eval_mode_is_refused(name: str) -> None:
    each = trial(name).run(2)
    each.optimizer.eval()
    before = each.weights()
    with pytest.raises(InputError, match=rf"{name}\.step\(\) came in eval mode.*train\(\)"):
        each.run(1)
    assert (each.weights() == before).all()
    each.optimizer.eval()  # twice is once
    each.optimizer.train()
    each.run(1)


@pytest.mark.parametrize("name", [name for name in ALL if name not in WITH_OUTPUT])
def test_eval_and_train_do_nothing_where_probe_and_theta_are_one(name: str) -> None:
    each: Trial = trial(name).run(2)
    before = each.weights()
    each.optimizer.eval()
    assert (each.weights() == before).all()
    each.optimizer.train()
    each.run(1)
