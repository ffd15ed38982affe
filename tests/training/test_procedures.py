"""Members that differ in start, schedule and order of examples: both lanes, and plain PyTorch."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ravine import batches, rules, schedules, transforms
from ravine.errors import UnknownOptionError
from ravine.initializers import start
from ravine.seeds import derive
from ravine.training.lane import Lane, Member, pack, unpack
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, mlp, noisy

STEPS = 54


def procedures(targets: torch.Tensor) -> dict[str, Procedure]:
    """Rules of each granularity, with other starts, schedules (of momentum, too) and orders."""
    made = [
        ("sgd", "he_normal", {"lr": schedules.linear(STEPS)}, batches.shuffled_once()),
        ("sgd", "glorot_uniform", {"lr": schedules.warmup(9) * schedules.cosine(54)}, batches.stored()),
        ("sgd", "orthogonal", {}, batches.with_replacement()),
        (
            "nesterov",
            "as_built",
            {"lr": schedules.inverse_time(0.1), "momentum": schedules.ramp(0.5, 0.99, STEPS)},
            batches.stratified(targets),
        ),
        ("adam", "lsuv", {"lr": schedules.one_cycle(STEPS)}, batches.shuffled()),
        ("lamb", "he_uniform", {"lr": schedules.cosine_restarts(9)}, batches.shuffled()),
        ("muon", "sparse", {"lr": schedules.step(18)}, batches.curriculum(torch.arange(len(targets)))),
    ]  # fmt: skip
    rule = {name: rules.get(name) for name, *_ in made}
    return {
        f"{name}/{begin}": Procedure(
            f"{name}/{begin}", name, rule[name], start(begin), rates, order
        )
        for name, begin, rates, order in made
    }


def trials(arms: dict[str, Procedure]) -> list[Trial]:
    return [Trial(name, arm.rule.defaults, seed) for name, arm in arms.items() for seed in (0, 1)]


def train(lane: Lane, of: list[Trial], until: int = STEPS) -> dict[tuple[str, int], Member]:
    done = [
        member
        for chunk in lane.chunks([Member.new(trial) for trial in of])
        for member in lane.train(chunk, until, lambda steps: None)
    ]
    return {(m.run.trial.procedure, m.run.trial.seed): m for m in done}


def assert_same_curve(member: Member, other: Member, tolerance: float) -> None:
    for point, same in zip(member.run.curve, other.run.curve, strict=True):
        assert point.step == same.step
        for name in ("cost", "validation_cost", "validation_metric"):
            assert math.isclose(getattr(point, name), getattr(same, name), rel_tol=tolerance), point


def weights(member: Member) -> torch.Tensor:
    saved = member.snapshot["weights"]
    flat = saved if isinstance(saved, torch.Tensor) else torch.cat([w.reshape(-1) for w in saved])
    return flat


def test_population_equals_serial_with_members_that_differ_in_everything():
    problem = digits_problem(mlp, torch.float64, steps=STEPS)
    arms = procedures(problem.train.targets)
    of = trials(arms)
    together = train(PopulationLane(problem, arms, len(of)), of)
    alone = train(SerialLane(problem, arms), of)
    for key, member in alone.items():
        difference = (weights(together[key]) - weights(member)).abs().max()
        assert difference <= 1e-10 * weights(member).abs().max(), key
        assert_same_curve(together[key], member, 1e-10)


def test_serial_equals_a_loop_in_plain_pytorch():
    """torch's SGD, He's distribution by hand, cosine in closed form, a permutation drawn once."""
    problem = digits_problem(mlp, torch.float64, steps=STEPS)
    arm = Procedure(
        "sgd", "SGD", rules.sgd(), start("he_normal"), {"lr": schedules.cosine(STEPS)},
        batches.shuffled_once(),
    )  # fmt: skip
    ((_, member),) = train(
        SerialLane(problem, {"sgd": arm}), [Trial("sgd", {"lr": 0.5}, 3)]
    ).items()

    model = mlp().double()
    start("he_normal")(
        model, derive(3, "start"), torch.zeros(1, 64), torch.zeros(1), F.cross_entropy
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    order = batches.shuffled_once().epoch(3, 0, len(problem.train))
    per_epoch = len(order) // 32
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 0.5 * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        batch = order[(step % per_epoch) * 32 : (step % per_epoch + 1) * 32]
        optimizer.zero_grad()
        F.cross_entropy(model(problem.train.inputs[batch]), problem.train.targets[batch]).backward()
        optimizer.step()
    theirs = torch.nn.utils.parameters_to_vector(model.parameters())
    assert (weights(member) - theirs).abs().max() <= 1e-12


@pytest.mark.parametrize("lane", ["serial", "population"])
def test_a_continued_run_equals_an_undisturbed_one(lane):
    problem = digits_problem(noisy, steps=STEPS)
    arms = procedures(problem.train.targets)
    of = trials(arms)

    def fresh() -> Lane:
        if lane == "serial":
            return SerialLane(problem, arms)
        return PopulationLane(problem, arms, len(of), compiled=False)

    whole = train(fresh(), of)
    halves = [Member(m.run, unpack(pack(m.snapshot))) for m in train(fresh(), of, 18).values()]
    again = fresh()
    for chunk in again.chunks(halves):
        for member in again.train(chunk, STEPS, lambda steps: None):
            key = member.run.trial.procedure, member.run.trial.seed
            assert member.run.curve == whole[key].run.curve, key
            assert torch.equal(weights(member), weights(whole[key])), key


@pytest.mark.parametrize("lane", ["serial", "uncompiled"])
def test_a_last_smaller_batch_is_kept_where_asked(lane):
    """1078 examples in batches of 100: ten and one of 78; the mean cost of an epoch tells."""
    problem = digits_problem(mlp, torch.float64, batch_size=100, steps=27, last_batch="keep")
    examples = len(problem.train)
    arm = replace(Procedure.of(rules.sgd()), order=batches.stored())
    of = [Trial("sgd", {"lr": 1e-12}, 0), Trial("sgd", {"lr": 1e-12}, 1)]
    made = {
        "serial": lambda: SerialLane(problem, {"sgd": arm}),
        "uncompiled": lambda: PopulationLane(problem, {"sgd": arm}, 2, compiled=False),
    }[lane]()
    per_epoch = math.ceil(examples / 100)
    for member in train(made, of, 27).values():
        torch.manual_seed(derive(member.run.trial.seed, "init"))
        model = mlp().double()
        for point in member.run.curve[1:]:
            first = ((point.step - 1) % per_epoch) * 100
            x, y = (t[first : first + 100] for t in (problem.train.inputs, problem.train.targets))
            assert math.isclose(point.cost, F.cross_entropy(model(x), y).item(), rel_tol=1e-9)


def test_the_trained_module_is_what_was_evaluated():
    problem = digits_problem(noisy, torch.float64, steps=STEPS)
    arms = procedures(problem.train.targets)
    of = trials(arms)[:4]
    for lane in (SerialLane(problem, arms), PopulationLane(problem, arms, 4, compiled=False)):
        for member in train(lane, of).values():
            model = lane.module(member)
            assert not model.training
            with torch.no_grad():
                output = model(problem.validation.inputs)
            cost = F.cross_entropy(output, problem.validation.targets).item()
            assert math.isclose(cost, member.run.curve[-1].validation_cost, rel_tol=1e-10)
            assert any(isinstance(m, torch.nn.Dropout) for m in model.modules())


@pytest.mark.parametrize("lane", ["serial", "uncompiled"])
def test_what_is_tested_later_is_what_was_evaluated(lane):
    """Schedule-free's weights to evaluate depend on its momentum, which is scheduled here."""
    problem = digits_problem(mlp, torch.float64, steps=STEPS)
    problem = replace(problem, test=problem.validation)
    momentum = {"momentum": schedules.ramp(0.5, 0.95, STEPS)}
    arms = {"free": Procedure("free", "free", rules.get("schedule_free_sgd"), schedules=momentum)}
    of = [Trial("free", {**arms["free"].rule.defaults, "lr": 0.1}, seed) for seed in (0, 1)]
    made = (
        SerialLane(problem, arms) if lane == "serial" else PopulationLane(problem, arms, 2, False)
    )
    members = list(train(made, of).values())
    for member, value in zip(members, made.test(members), strict=True):
        assert math.isclose(value, member.run.curve[-1].validation_metric, abs_tol=1e-12)
        with torch.no_grad():
            output = made.module(member)(problem.validation.inputs)
        cost = F.cross_entropy(output, problem.validation.targets).item()
        assert math.isclose(cost, member.run.curve[-1].validation_cost, rel_tol=1e-12)


@pytest.mark.parametrize("lane", ["serial", "uncompiled", "compiled"])
def test_rules_of_one_name_are_told_apart(lane):
    """A chain is named like the rule in it: both train under their own."""
    problem = digits_problem(mlp, torch.float64)
    arms = {
        "plain": Procedure("plain", "P", rules.sgd()),
        "clipped": Procedure(
            "clipped", "C", transforms.chain(transforms.clip_norm(0.1), rules.sgd())
        ),
    }
    of = [Trial(name, {**arm.rule.defaults, "lr": 0.5}, 0) for name, arm in arms.items()]
    made = (
        SerialLane(problem, arms)
        if lane == "serial"
        else PopulationLane(problem, arms, 2, compiled=lane == "compiled")
    )
    together = train(made, of, 27)
    for name, arm in arms.items():
        alone = train(SerialLane(problem, {name: arm}), [t for t in of if t.procedure == name], 27)
        assert_same_curve(together[name, 0], alone[name, 0], 1e-10)
    ends = [together[name, 0].run.curve[-1].validation_cost for name in arms]
    assert abs(ends[0] - ends[1]) > 0.1


def test_an_average_has_batch_norm_statistics_of_its_own():
    """Those of the averaged weights over the training data, and not the last iterate's."""
    problem = digits_problem(noisy, torch.float64, steps=STEPS)
    average = transforms.stochastic_weight_average(9, 9)(rules.sgd())
    arms = {"swa": Procedure("swa", "S", average)}
    of = [Trial("swa", {**average.defaults, "lr": 0.5}, seed) for seed in (0, 1)]
    serial = train(SerialLane(problem, arms), of)
    together = train(PopulationLane(problem, arms, 3, compiled=False), of)
    for key, member in serial.items():
        assert_same_curve(together[key], member, 1e-9)
        model = SerialLane(problem, arms).module(member)
        seen: list[torch.Tensor] = []
        handle = model[1].register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        with torch.no_grad():
            output = model(problem.train.inputs)
        handle.remove()
        assert torch.allclose(model[1].running_mean, seen[0].mean(0), rtol=1e-9)
        assert torch.allclose(model[1].running_var, seen[0].var(0), rtol=1e-9)
        del output
        with torch.no_grad():
            scores = model(problem.validation.inputs)
        cost = F.cross_entropy(scores, problem.validation.targets).item()
        assert math.isclose(cost, member.run.curve[-1].validation_cost, rel_tol=1e-9)


def test_an_unknown_hyperparameter_cannot_be_scheduled():
    with pytest.raises(UnknownOptionError, match="did you mean momentum"):
        Procedure("m", "M", rules.momentum(), schedules={"momentun": schedules.ramp(0.5, 0.9, 9)})
