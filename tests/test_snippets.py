"""What is to be pasted trains as ravine did."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ravine
from ravine import batches, rules, schedules
from ravine.batches import Batches
from ravine.recipes import build_model
from ravine.snippets import number, ordering, snippet, starting, written
from ravine.training.lane import Member
from ravine.training.procedure import Procedure
from ravine.training.serial import SerialLane
from tests.problems import digits_problem

STEPS = 20
OTHER = {
    "beta1": 0.8,
    "beta2": 0.95,
    "momentum": 0.7,
    "alpha": 0.9,
    "eps": 1e-3,
    "weight_decay": 0.02,
}
RATES = {"adadelta": 0.3, "schedule_free_sgd": 0.3, "lars": 3.3, "delta_bar_delta": 0.0123}
"""Others than usual, and numbers that are no short decimals."""


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 10))


PROBLEM = digits_problem(net, torch.float64, steps=STEPS)


def walked(code: str) -> tuple[list[float], Tensor]:
    """The costs and the last outputs of a hand-written loop around a snippet."""
    model = build_model(PROBLEM, 5)
    names = {"torch": torch, "ravine": ravine, "model": model}
    exec(code, names)
    optimizer, scheduler = names["optimizer"], names.get("scheduler")
    feed = Batches([5], len(PROBLEM.train), 32, torch.device("cpu"))
    costs = []
    for step in range(STEPS):
        batch = feed.at(step)[0]
        cost = F.cross_entropy(model(PROBLEM.train.inputs[batch]), PROBLEM.train.targets[batch])
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        costs.append(cost.item())
    if "optimizer.eval()" in code:
        optimizer.eval()
    with torch.no_grad():
        return costs, model.eval()(PROBLEM.validation.inputs)


def trained(procedure: Procedure, hyper: dict[str, float]) -> tuple[list[float], Tensor]:
    """The same in the serial lane."""
    lane = SerialLane(PROBLEM, {procedure.name: procedure})
    trial = replace(procedure.trial(hyper["lr"], 5), hyper=hyper)
    (member,) = lane.train([Member.new(trial)], STEPS, lambda steps: None)
    with torch.no_grad():
        outputs = lane.module(member)(PROBLEM.validation.inputs)
    return [point.cost for point in member.run.curve[1:]], outputs


def assert_same(procedure: Procedure, hyper: dict[str, float]) -> str:
    varying = {name: written(of, STEPS) for name, of in procedure.schedules.items()}
    rule, title = procedure.rule, procedure.title
    code = snippet(rule, title, hyper, varying, "as_built", "shuffled")
    mine, theirs = trained(procedure, hyper), walked(code)
    assert theirs[0] == pytest.approx(mine[0], rel=1e-12), code
    assert (theirs[1] - mine[1]).abs().max() <= 1e-11 * mine[1].abs().max(), code
    return code


LOOSE = {
    "nadam": 1e-6,  # torch's product of momentum coefficients is float32
    "soap": 1e-6,  # dark pixels have no gradient, so its basis is arbitrary in their directions
    "muon": 1e-2,  # bfloat16 products, rounded otherwise where matrices are stacked
}


@pytest.mark.parametrize("name", sorted(rules.REGISTRY.keys() - LOOSE))
def test_every_rule(name):
    rule = rules.get(name)
    usual = {**rule.defaults, "lr": 10**-2.3 if rule.defaults["lr"] < 0.1 else 10**-0.7}
    code = assert_same(Procedure.of(rule), usual)
    other = {n: OTHER.get(n, value) for n, value in usual.items()}
    if other != usual:
        assert assert_same(Procedure.of(rule), other) != code


@pytest.mark.parametrize("name", LOOSE)
def test_rules_that_round(name):
    rule = rules.get(name)
    hyper = dict(rule.defaults)
    code = snippet(rule, rule.title, hyper, {}, "as_built", "shuffled")
    mine, theirs = trained(Procedure.of(rule), hyper), walked(code)
    assert theirs[0] == pytest.approx(mine[0], rel=LOOSE[name])


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "rmsprop_momentum"])
@pytest.mark.parametrize(
    "schedule",
    [
        schedules.named("cosine", STEPS),
        schedules.named("warmup+linear", STEPS),
        schedules.warmup(7) * schedules.inverse_time(0.03),
    ],
    ids=lambda schedule: schedule.name,
)
def test_schedules_of_the_rate(name, schedule):
    rule = rules.get(name)
    procedure = replace(Procedure.of(rule), schedules={"lr": schedule})
    assert_same(procedure, {**rule.defaults, "lr": 0.0123})


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_schedules_of_other_hyperparameters(name):
    rule = rules.get(name)
    what = "momentum" if name == "momentum" else "beta1"
    procedure = replace(
        Procedure.of(rule),
        schedules={what: schedules.ramp(0.5, 0.9, 10), "lr": schedules.cosine(STEPS)},
    )
    assert_same(procedure, {**rule.defaults, "lr": 0.0123})


def test_only_what_differs_is_typed():
    adam = rules.get("adam")
    code = snippet(adam, "Adam", {**adam.defaults, "lr": 0.003}, {}, "as_built", "shuffled")
    assert code == "optimizer = torch.optim.Adam(model.parameters(), lr=0.003)"


def test_a_rule_of_the_users_own():
    code = snippet(None, "clipped Adam", {"lr": 0.1}, {}, "as_built", "shuffled")
    assert (
        code
        == "optimizer = ravine.Optimizer(model.parameters(), rule, lr=0.1)  # rule: clipped Adam"
    )


@pytest.mark.parametrize("start", ["he_normal", "glorot_uniform", "lsuv", "he_normal+output_bias"])
def test_starts_can_be_typed(start):
    model, drawn = build_model(PROBLEM, 5), build_model(PROBLEM, 5)
    sample = PROBLEM.sample
    given = {"seed": 0, "inputs": sample.inputs, "targets": sample.targets, "cost": F.cross_entropy}
    exec(starting(start), {"ravine": ravine, "model": model, **given})
    ravine.initializers.start(start)(drawn, 0, sample.inputs, sample.targets, F.cross_entropy)
    for one, other in zip(model.parameters(), drawn.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("order", batches.NAMES)
def test_orders_can_be_typed(order):
    targets = PROBLEM.train.targets
    names = {"ravine": ravine, "targets": targets, "dataset": targets, "batch_size": 32, "seed": 3}
    exec(f"sampler = {ordering(order)}", names)
    made = batches.named(order, targets)
    expected = Batches([3], len(targets), 32, "cpu", [made])
    for step, found in zip(range(70), names["sampler"], strict=False):
        assert found == expected.at(step)[0].tolist()


def test_numbers_are_the_very_numbers():
    assert [number(x) for x in (0.001, 100.0, 1e-5, 10**-2.5)] == [
        *("0.001", "100", "1e-05"),
        "0.0031622776601683794",
    ]
