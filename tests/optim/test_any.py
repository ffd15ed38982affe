"""The optimizer of any rule: names, chains, schedules, groups with rules of their own."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ravine
from ravine import rules
from ravine.errors import InputError, SettingError, UnknownNameError, UnknownOptionError
from ravine.rules import Rule
from ravine.schedules import (
    constant,
    cosine,
    inverse_sqrt,
    join,
    linear,
    one_cycle,
    one_cycle_momentum,
    piecewise,
    ramp,
    warmup,
)
from ravine.testing._engines import _compilations
from tests.cases import CASES, TOLERANCE, Case, Ravine, difference, walk, walk_optimizer
from tests.optim.trials import Trial, assert_same, through_file

CLIPPED = ravine.chain(ravine.clip_norm(0.5), rules.adam(), ravine.decoupled(0.1))


def walk_shown(case: Case, engine: str) -> Any:
    """θ after every step, whether the parameter holds it or the state does."""
    problem, rule = case.problem(), case.rule
    param = torch.from_numpy(problem.start.copy()).requires_grad_()
    optimizer = ravine.Optimizer([param], rule, engine=engine)
    path = []
    for k in range(len(problem.noise)):
        param.grad = problem.gradient_at(param, k)
        optimizer.step()
        theta = optimizer.state[param].get("theta", param) if param in optimizer.state else param
        path.append((param if rule.probe is rules.at_param else theta).detach().numpy().copy())
    return np.array(path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_every_rule_walks_its_path(case: Case) -> None:
    for engine in ("eager", "auto"):
        assert difference(walk_shown(case, engine), walk(case.rule, case.problem())) <= 1e-10


@pytest.mark.parametrize("name", rules.REGISTRY)
def test_every_rule_walks_its_path_compiled(name: str) -> None:
    case = next(case for case in CASES if case.rule.name == name)
    assert difference(walk_shown(case, "compiled"), walk_shown(case, "eager")) <= 1e-10


def test_names_stand_for_rules_with_their_defaults() -> None:
    for name, make in rules.REGISTRY.items():
        optimizer = ravine.Optimizer([torch.zeros(2, 2)], name)
        (group,) = optimizer.param_groups
        assert group["rule"] == name
        assert {key: group[key] for key in make().defaults} == dict(make().defaults)


def test_a_chain_is_the_class_with_the_same_parts() -> None:
    """Clipped by torch beforehand."""
    mine = Trial(lambda model: ravine.Optimizer(model.parameters(), CLIPPED, lr=0.02))
    plain = Trial(lambda model: torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.1))
    mine.run(10)
    for _ in range(10):
        plain.closure()
        torch.nn.utils.clip_grad_norm_(plain.model.parameters(), 0.5)
        plain.optimizer.step()
        plain.k += 1
    assert_same(mine, plain)
    assert mine.optimizer.param_groups[0]["max_norm"] == 0.5


def test_groups_step_by_their_own_rules_and_share_totals() -> None:
    """Two rules clipped by one norm: that of all parameters of both."""
    clipped = [ravine.chain(ravine.clip_norm(0.5), rule) for rule in (rules.sgd(), rules.adam())]

    def made(model: nn.Module) -> ravine.Optimizer:
        first, second = list(model[0].parameters()), list(model[2].parameters())
        groups = [{"params": first, "lr": 0.1, "rule": clipped[0]}, {"params": second}]
        return ravine.Optimizer(groups, clipped[1], lr=0.02)

    mine = Trial(made).run(10)
    plain = Trial(
        lambda model: [
            torch.optim.SGD(model[0].parameters(), lr=0.1),
            torch.optim.Adam(model[2].parameters(), lr=0.02),
        ]
    )
    for _ in range(10):
        plain.model.zero_grad()
        plain.loss().backward()
        torch.nn.utils.clip_grad_norm_(plain.model.parameters(), 0.5)
        for optimizer in plain.optimizer:
            optimizer.step()
        plain.k += 1
    assert_same(mine, plain)


def test_maximize_climbs() -> None:
    problem = Ravine()
    mine = walk_optimizer(lambda p: ravine.Optimizer(p, "adam", maximize=True), problem)
    torch_own = walk_optimizer(lambda p: torch.optim.Adam(p, maximize=True), problem)
    assert difference(mine, torch_own) <= TOLERANCE


# Schedules


def halving(step: int) -> float:
    """0.1, 0.05, 0.025, ..."""
    return 0.1 * 0.5**step


def test_a_schedule_is_evaluated_from_step_0_on() -> None:
    param, seen = torch.zeros(1), []
    optimizer = ravine.Optimizer([param], "sgd", lr=halving)
    assert optimizer.param_groups[0]["lr"] == 0.1
    for _ in range(4):
        param.grad = torch.ones(1)
        before = param.item()
        optimizer.step()
        seen.append(before - param.item())
    assert seen == pytest.approx([0.1, 0.05, 0.025, 0.0125], rel=1e-12)
    assert optimizer.param_groups[0]["lr"] == 0.0125


def test_groups_have_rates_of_their_own() -> None:
    params = [torch.zeros(1) for _ in range(3)]
    groups = [
        {"params": params[:1], "lr": 0.3},
        {"params": params[1:2], "lr": lambda step: 0.2 + step},
        {"params": params[2:]},
    ]
    optimizer = ravine.Optimizer(groups, "sgd", lr=halving)
    for _ in range(2):
        for param in params:
            param.grad = torch.ones(1)
        optimizer.step()
    assert [param.item() for param in params] == pytest.approx([-0.6, -1.4, -0.15], rel=1e-12)


@pytest.mark.parametrize("rule", ["adamw", "muon", "nesterov", CLIPPED])
def test_a_stop_changes_nothing(rule: Rule | str) -> None:
    """The step that a schedule stands at is in the checkpoint."""

    def made() -> Trial:
        return Trial(lambda model: ravine.Optimizer(model.parameters(), rule, lr=halving))

    straight, broken, resumed = made().run(10), made().run(5), made()
    resumed.model.load_state_dict(broken.model.state_dict())
    resumed.optimizer.load_state_dict(through_file(broken.optimizer.state_dict()))
    resumed.k = broken.k
    assert (resumed.run(5).weights() == straight.weights()).all()
    assert resumed.optimizer.param_groups[0]["lr"] == halving(9)


def test_schedulers_of_torch_work_where_no_schedule_is_given() -> None:
    mine = Trial(lambda model: ravine.Optimizer(model.parameters(), "adam", lr=0.02))
    plain = Trial(lambda model: torch.optim.Adam(model.parameters(), lr=0.02))
    for each in (mine, plain):
        each.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(each.optimizer, 10)
        each.run(10)
    assert_same(mine, plain)


def test_a_bad_rate_of_a_schedule_is_refused_before_anything_moves() -> None:
    param = torch.zeros(1)
    optimizer = ravine.Optimizer([param], "sgd", lr=lambda step: 0.1 - 0.1 * step**2 * 2)
    for expected in (True, False):
        param.grad = torch.ones(1)
        if expected:
            optimizer.step()
            continue
        with pytest.raises(SettingError, match=r"lr \(the schedule at step 1\)=-0\.1 is out"):
            optimizer.step()
    assert param.item() == -0.1


LR, MOMENTUM = 0.1 * linear(15), ramp(0.5, 0.99, 12)


@pytest.mark.parametrize("engine", ["eager", "auto", "compiled"])
@pytest.mark.parametrize("where", ["constructor", "group"])
def test_any_hyperparameter_follows_its_schedule(engine: str, where: str) -> None:
    """θ ← θ + v with v ← α_k v - ε_k g on J = ½ Σ hᵢθᵢ², in NumPy."""
    curvature, start = np.array([0.1, 1.0, 3.0]), np.array([1.0, -2.0, 0.5])
    param = torch.from_numpy(start.copy())
    scheduled: dict[str, Any] = {"lr": LR, "momentum": MOMENTUM}
    if where == "constructor":
        optimizer = ravine.Optimizer([param], "momentum", engine=engine, **scheduled)
    else:
        groups = [{"params": [param], "rule": "momentum", **scheduled}]
        optimizer = ravine.Optimizer(groups, "adam", engine=engine)
    assert optimizer.param_groups[0]["momentum"] == 0.5
    theta, velocity = start.copy(), np.zeros(3)
    for k in range(20):
        param.grad = torch.from_numpy(curvature) * param
        optimizer.step()
        alpha, epsilon = 0.5 + 0.49 * min(k / 12, 1), 0.1 * (1 - 0.99 * min(k / 15, 1))
        velocity = alpha * velocity - epsilon * curvature * theta
        theta = theta + velocity
        assert optimizer.param_groups[0]["momentum"] == MOMENTUM(k)
        assert np.max(np.abs(param.numpy() - theta)) <= 1e-13


def test_schedules_are_those_of_torch_s_scheduler() -> None:
    """One cycle of the rate and of Adam's first beta, at the peak of torch's OneCycleLR."""
    mine = Trial(
        lambda model: ravine.Optimizer(
            model.parameters(),
            "adam",
            lr=0.03 * one_cycle(20),
            beta1=one_cycle_momentum(20),
        )
    )
    plain = Trial(lambda model: torch.optim.Adam(model.parameters()))
    plain.scheduler = torch.optim.lr_scheduler.OneCycleLR(plain.optimizer, 0.03, total_steps=20)
    assert_same(mine.run(19), plain.run(19))  # a step more would leave torch's cycle


def test_groups_have_schedules_of_their_own() -> None:
    """A number in a group stands before the optimizer's schedule, and a schedule before a number."""
    params = [torch.zeros(1) for _ in range(3)]
    groups = [
        {"params": params[:1], "momentum": 0.25},
        {"params": params[1:2], "lr": piecewise([1], [1, 2])},
        {"params": params[2:], "momentum": constant(0)},
    ]
    optimizer = ravine.Optimizer(groups, "momentum", lr=1.0, momentum=ramp(0.5, 1.5, 1))
    for _ in range(2):
        for param in params:
            param.grad = torch.ones(1)
        optimizer.step()
    assert [p.item() for p in params] == [-1 - 1.25, -1 - (1.5 + 2), -2]
    assert ["steps_taken" in group for group in optimizer.param_groups] == [False, True, True]


@pytest.mark.parametrize("engine", ["auto", "compiled"])
def test_schedules_compile_nothing(engine: str) -> None:
    def made(model: nn.Module) -> ravine.Optimizer:
        options: dict[str, Any] = {"lr": 0.01 * cosine(40), "beta1": ramp(0.5, 0.95, 30)}
        return ravine.Optimizer(model.parameters(), "adamw", engine=engine, **options)

    each = Trial(made).run(1)
    before = _compilations()
    each.run(20)
    assert _compilations() == before


WARMED = join([warmup(5), inverse_sqrt(0.2)], [5])


@pytest.mark.parametrize("rule", ["momentum", "adam", "nesterov"])
def test_a_stop_at_any_step_changes_nothing(rule: str) -> None:
    """Bit by bit, with schedules of the rate and of the momentum."""
    beside = "beta1" if rule == "adam" else "momentum"

    def made() -> Trial:
        options: dict[str, Any] = {"lr": 0.05 * WARMED * cosine(25), beside: ramp(0.5, 0.9, 9)}
        return Trial(lambda model: ravine.Optimizer(model.parameters(), rule, **options))

    straight = made()
    for stop in range(13):
        resumed = made()
        resumed.model.load_state_dict(straight.model.state_dict())
        resumed.optimizer.load_state_dict(through_file(straight.optimizer.state_dict()))
        resumed.k = straight.k
        resumed.run(13 - stop)
        if stop == 0:
            end = resumed
        assert (resumed.weights() == end.weights()).all()
        straight.run(1)
    assert (straight.weights() == end.weights()).all()


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda step: 0.5 - step, r"momentum \(the schedule at step 1\)=-0\.5 is out of range"),
        (lambda step: None if step else 0.5, r"step 1\)=nan is out of range"),
    ],
)
def test_every_value_of_a_schedule_is_checked(schedule: Any, message: str) -> None:
    """Before any group has moved."""
    params = [torch.zeros(1), torch.zeros(1)]
    groups = [{"params": params[:1]}, {"params": params[1:], "momentum": schedule}]
    optimizer = ravine.Optimizer(groups, "momentum", lr=0.1, momentum=0.5)
    for param in params:
        param.grad = torch.ones(1)
    optimizer.step()
    with pytest.raises(SettingError, match=message):
        optimizer.step()
    assert [param.item() for param in params] == [-0.1, -0.1]


def test_a_schedule_is_kept_by_a_pickle() -> None:
    params = [torch.ones(3)]
    optimizer = ravine.Optimizer(params, "momentum", lr=LR, momentum=MOMENTUM)
    for _ in range(3):
        params[0].grad = torch.ones(3)
        optimizer.step()
    copied = pickle.loads(pickle.dumps(optimizer))
    for _ in range(3):
        for each in (optimizer, copied):
            each.param_groups[0]["params"][0].grad = torch.ones(3)
            each.step()
    assert torch.equal(copied.param_groups[0]["params"][0], params[0])
    assert copied.param_groups[0]["momentum"] == MOMENTUM(5)


# Copies and checkpoints


def test_rules_stay_out_of_checkpoints() -> None:
    params = [torch.zeros(2) for _ in range(3)]
    groups = [
        {"params": [p], "rule": r} for p, r in zip(params, ("lion", CLIPPED, CLIPPED), strict=True)
    ]
    optimizer = ravine.Optimizer(groups, lr=halving)
    names = [group["rule"] for group in optimizer.param_groups]
    assert names == ["lion", CLIPPED.title, CLIPPED.title]
    assert through_file(optimizer.state_dict())["param_groups"][1]["rule"] == CLIPPED.title


def test_two_rules_of_one_name_are_told_apart() -> None:
    params = [torch.zeros(2), torch.zeros(2)]
    pair = [rules.rmsprop(), rules.rmsprop(centered=True)]
    groups = [{"params": [p], "rule": r} for p, r in zip(params, pair, strict=True)]
    optimizer = ravine.Optimizer(groups)
    assert [g["rule"] for g in optimizer.param_groups] == ["rmsprop", "rmsprop (2)"]
    for param in params:
        param.grad = torch.ones(2)
    optimizer.step()
    assert "grad_avg" not in optimizer.state[params[0]]
    assert "grad_avg" in optimizer.state[params[1]]


def test_a_checkpoint_of_another_rule_is_refused() -> None:
    writer = Trial(lambda model: ravine.Optimizer(model.parameters(), "adam")).run(2)
    reader = Trial(lambda model: ravine.Optimizer(model.parameters(), "adamax")).run(2)
    before = copy.deepcopy(reader.optimizer.state_dict())
    with pytest.raises(SettingError, match=r"of the rule 'adam', and the optimizer's is of 'adam"):
        reader.optimizer.load_state_dict(writer.optimizer.state_dict())
    assert reader.optimizer.state_dict()["param_groups"] == before["param_groups"]
    straight = Trial(lambda model: ravine.Optimizer(model.parameters(), "adamax")).run(5)
    assert (reader.run(3).weights() == straight.weights()).all()


def test_a_checkpoint_of_a_class_is_refused() -> None:
    writer = Trial(lambda model: ravine.optim.AdamW(model.parameters())).run(2)
    reader = Trial(lambda model: ravine.Optimizer(model.parameters()))
    with pytest.raises(SettingError, match="of the rule None"):
        reader.optimizer.load_state_dict(writer.optimizer.state_dict())


@pytest.mark.parametrize("rule", ["adamw", CLIPPED])
def test_deep_copies_continue(rule: Rule | str) -> None:
    each = Trial(lambda model: ravine.Optimizer(model.parameters(), rule, lr=halving)).run(3)
    copied = copy.deepcopy((each.model, each.optimizer))
    twin = Trial(lambda model: None)
    twin.model, twin.optimizer, twin.k = *copied, each.k
    assert (twin.run(3).weights() == each.run(3).weights()).all()


def test_pickles_continue_where_rules_came_by_name() -> None:
    params = [torch.ones(3)]
    params[0].grad = torch.ones(3)
    optimizer = ravine.Optimizer(params, "adamw")
    optimizer.step()
    copied = pickle.loads(pickle.dumps(optimizer))
    copied.param_groups[0]["params"][0].grad = torch.ones(3)
    copied.step()
    optimizer.step()
    assert torch.equal(copied.param_groups[0]["params"][0], params[0])
    with pytest.raises(SettingError, match=r"cannot be pickled.*state_dict\(\)"):
        pickle.dumps(ravine.Optimizer(params, CLIPPED))


# What is refused

BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"rule": "adamm"}, UnknownNameError, r"'adamm'; did you mean adam"),
    (
        {"rule": rules.adam},
        SettingError,
        r"adam makes a rule and is none: call it, rules\.adam\(\)",
    ),
    ({"rule": 3}, SettingError, r"3 is no rule: pass a name"),
    ({"lr": -1.0}, SettingError, r"lr=-1\.0 is out of range"),
    ({"lr": lambda step: float("nan")}, SettingError, r"schedule at step 0\)=nan is out of range"),
    ({"lr": constant(1e308) * constant(1e9)}, SettingError, r"at step 0\)=inf is out of range"),
    ({"lr": "0.1"}, SettingError, r"lr=0\.1 is out of range"),
    ({"momentum": 0.9}, UnknownOptionError, r"the rule AdamW has no option 'momentum'; It has lr"),
    ({"bet1": 0.9}, UnknownOptionError, r"no option 'bet1'; did you mean beta1"),
    ({"beta1": 1.0}, SettingError, r"beta1=1\.0 is out of range"),
    (
        {"beta1": constant(1)},
        SettingError,
        r"beta1 \(the schedule at step 0\)=1\.0 is out .*\[0, 1\)",
    ),
    ({"rule": rules.muon()}, SettingError, r"shape \[3\].*groups\(model"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_what_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        ravine.Optimizer([torch.zeros(3)], **options)
    assert isinstance(raised.value, InputError)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"weight_decy": 0.1}, r"AdamW has no option 'weight_decy'; did you mean weight_decay\?"),
        ({"rule": "sgd", "beta1": 0.9}, r"the rule SGD has no option 'beta1'; It has lr"),
        ({"beta1": 1.0}, r"beta1=1\.0 is out of range; it must be in \[0, 1\)"),
        ({"rule": "schedule_free_adamw", "beta1": 0.0}, r"beta1=0\.0 .*in \(0, 1\]"),
        ({"rule": "rprop", "eta_plus": 0.5}, r"eta_plus=0\.5 .*> 1"),
    ],
)
def test_a_refused_group_is_not_kept(group: dict[str, Any], message: str) -> None:
    param, other = torch.zeros(2), torch.zeros(2)
    optimizer = ravine.Optimizer([param])
    with pytest.raises(InputError, match=message):
        optimizer.add_param_group({"params": [other], **group})
    assert len(optimizer.param_groups) == 1
    other.grad = param.grad = torch.ones(2)
    optimizer.step()
    assert torch.equal(other, torch.zeros(2))


def test_what_a_schedule_sets_cannot_be_set_from_outside():
    """Not by hand, and not by a scheduler of torch's: it would have no effect."""
    param = torch.nn.Parameter(torch.ones(3))
    optimizer = ravine.Optimizer([param], "sgd", lr=linear(10))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    param.grad = torch.ones(3)
    optimizer.step()
    scheduler.step()
    before = param.detach().clone()
    with pytest.raises(SettingError, match=r"param_groups\[0\]\['lr'\] was set to"):
        optimizer.step()
    assert torch.equal(param, before)
