"""Members whose minibatches differ in size, side by side in one comparison."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from ravine import batches, rules, schedules
from ravine.comparison.arms import arms_of
from ravine.errors import SettingError
from ravine.recipes import load
from ravine.training.choose import choose, why_not_population
from ravine.training.lane import Member
from ravine.training.pace import evaluation_steps, own_step
from ravine.training.population import PopulationLane
from ravine.training.procedure import Pace, Procedure, feed_of, pace_of
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, noisy

RULES = [rules.momentum(), rules.adam()]
SIZES = (32, 128, 16)


def population(problem, procedures, compiled=False):
    return PopulationLane(problem, procedures, 3, compiled)


def trained(lane, trials, until, pauses=()):
    members = [Member.new(trial) for trial in trials]
    for stop in (*pauses, until):
        chunks = lane.chunks(members)
        members = [m for chunk in chunks for m in lane.train(chunk, stop, lambda steps: None)]
    return {(m.run.trial.procedure, m.run.trial.seed): m for m in members}


@pytest.mark.parametrize("lane", [SerialLane, population], ids=["serial", "population"])
@pytest.mark.parametrize(
    "length", [{"epochs": 4, "steps": None}, {"steps": 60}], ids=["epochs", "steps"]
)
def test_each_member_trains_as_in_a_recipe_of_its_own_batch_size(lane, length):
    """Dropout, batch statistics and a schedule go by a member's own gradient steps."""
    problem = digits_problem(model=noisy, dtype=torch.float64, **length)
    arms = arms_of(problem, RULES[1:], ["as_built"], ["warmup+cosine"], [], SIZES).procedures
    trials = [arm.trial(0.01, seed) for arm in arms.values() for seed in (0, 1)]
    middle = evaluation_steps(problem.steps)[9]
    together = trained(lane(problem, arms), trials, problem.steps, [middle])
    for (name, seed), member in together.items():
        size = arms[name].batch_size or 32
        apart = load(replace(problem.recipe, batch_size=size))
        rate = schedules.named("warmup+cosine", apart.steps)
        alone = Procedure(name, name, arms[name].rule, schedules={"lr": rate})
        ((_, own),) = trained(
            SerialLane(apart, {name: alone}), [alone.trial(0.01, seed)], apart.steps
        ).items()
        assert [p.step for p in member.run.curve] == evaluation_steps(problem.steps)
        assert [own_step(problem, arms[name], p.step) for p in member.run.curve] == [
            p.step for p in own.run.curve
        ]
        for ours, theirs in zip(member.run.curve, own.run.curve, strict=True):
            assert ours.cost == pytest.approx(theirs.cost, rel=1e-9)
            assert ours.validation_cost == pytest.approx(theirs.validation_cost, rel=1e-9)


def test_compiled_groups_of_several_sizes_train_as_one_by_one():
    problem = digits_problem(dtype=torch.float64, epochs=1, steps=None)
    arms = arms_of(problem, RULES[:1], ["as_built"], ["constant"], [], (16, 32)).procedures
    trials = [arm.trial(0.01, seed) for arm in arms.values() for seed in (0, 1)]
    many = trained(population(problem, arms, compiled=True), trials, problem.steps)
    alone = trained(SerialLane(problem, arms), trials, problem.steps)
    assert many.keys() == alone.keys()
    for key, member in many.items():
        for ours, theirs in zip(member.run.curve, alone[key].run.curve, strict=True):
            assert ours.cost == pytest.approx(theirs.cost, rel=1e-9)


def test_who_trains_together_has_one_size():
    problem = digits_problem(steps=60)
    arms = {
        "usual": Procedure("usual", "usual", rules.sgd()),
        "large": Procedure("large", "large", rules.sgd(), batch_size=64),
        "larger": Procedure("larger", "larger", rules.sgd(), batch_size=100),
    }
    lane = population(problem, arms)
    members = [Member.new(arm.trial(0.1, seed)) for seed in (0, 1) for arm in arms.values()]
    chunks = lane.chunks(members)
    assert [{m.run.trial.procedure for m in chunk} for chunk in chunks] == [
        {"usual"}, {"large"}, {"larger"}
    ]  # fmt: skip
    assert [len(chunk) for chunk in chunks] == [2, 2, 2]
    with pytest.raises(ValueError, match="too many values"):
        feed_of(problem, [(0, arms["usual"]), (0, arms["large"])])


def test_another_size_keeps_the_epochs_or_the_steps():
    """1078 digits: 33 minibatches of 32, 8 of 128, and the full batch is one."""
    in_epochs, in_steps = digits_problem(epochs=30, steps=None), digits_problem(steps=60)
    assert (in_epochs.batch_size, in_epochs.steps) == (32, 990)
    sized = in_epochs.resized(128)
    assert (sized.batch_size, sized.steps) == (128, 240)
    assert (in_steps.resized(128).batch_size, in_steps.resized(128).steps) == (128, 60)
    assert in_epochs.resized(5000).batch_size == len(in_epochs.train)
    assert in_epochs.resized(5000).steps == 30
    procedure = Procedure("p", "p", rules.sgd(), batch_size=5000)
    assert pace_of(in_steps, procedure) == Pace(len(in_steps.train), 60)
    assert pace_of(in_epochs, procedure) == Pace(len(in_epochs.train), 30)


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_a_size_is_a_whole_number(size):
    with pytest.raises(SettingError, match=r"batch_size=.*expected a whole number from 1 on"):
        digits_problem().resized(size)
    with pytest.raises(SettingError, match=r"batch_size=.*expected a whole number from 1 on"):
        load(digits_problem().recipe, batch_size=size)


def test_a_training_too_short_to_be_evaluated_as_often_is_refused():
    problem = digits_problem(epochs=3, steps=None)
    with pytest.raises(SettingError, match="99 and 24 gradient steps; expected at least 27 of"):
        arms_of(problem, RULES, ["as_built"], ["constant"], [], (32, 128))


def test_one_size_twice_is_refused():
    """5000 and 2000 are both the full batch of 1078."""
    with pytest.raises(SettingError, match="5000 and 2000 are the same minibatches of 1078"):
        arms_of(digits_problem(), RULES, ["as_built"], ["constant"], [], (5000, 2000))


def test_arms_of_the_full_batch_are_called_as_typed():
    """So that recipes with more and with fewer examples have the same arms."""
    problem = digits_problem(steps=60)
    arms = arms_of(problem, RULES, ["as_built"], ["constant"], [], (32, 5000))
    assert arms.parts["adam/batch_5000"]["batch_size"] == "5000"
    assert pace_of(problem, arms.procedures["adam/batch_5000"]).batch_size == 1078


def test_schedules_of_one_name_are_called_alike_at_every_size():
    problem = digits_problem(epochs=10, steps=None)
    arms = arms_of(
        problem, RULES[:1], ["as_built"], ["cosine", schedules.cosine(500)], [], (32, 128)
    )
    called = [parts["schedule"] for parts in arms.parts.values()]
    assert called[:2] == called[2:]
    last = arms.procedures["momentum/" + called[0] + "/batch_128"]
    assert last.schedules["lr"] == schedules.cosine(80)


def test_an_order_that_ends_too_early_for_one_size_is_refused():
    problem = digits_problem(steps=30, batches=batches.stream())
    with pytest.raises(SettingError, match="ends after 8 gradient steps"):
        arms_of(problem, RULES, ["as_built"], ["constant"], [], (32, 128))


def test_the_other_lane_is_looked_at_with_every_size():
    """A layer that goes by the size of the minibatch in Python."""

    class Counting(nn.Linear):
        def forward(self, x):
            if len(x) == 128:
                self.seen = getattr(self, "seen", 0) + 1
            return super().forward(x)

    problem = digits_problem(lambda: Counting(64, 10), steps=60)
    arms = arms_of(problem, RULES, ["as_built"], ["constant"], [], (32, 128)).procedures
    trials = [arm.trial(0.01, 0) for arm in arms.values()]
    assert "attribute seen" in why_not_population(problem, arms, trials)
    one_size = {name: arm for name, arm in arms.items() if arm.batch_size is None}
    trials = [arm.trial(0.01, 0) for arm in one_size.values()]
    assert why_not_population(problem, one_size, trials) is None


def test_arms_say_their_size_where_it_varies():
    problem = digits_problem(epochs=10, steps=None)
    several = arms_of(problem, RULES, ["as_built"], ["cosine"], [], (32, 128))
    assert list(several.procedures) == [
        "momentum/batch_32", "momentum/batch_128", "adam/batch_32", "adam/batch_128"
    ]  # fmt: skip
    assert several.procedures["adam/batch_128"].title == "Adam · batch 128"
    assert several.parts["adam/batch_128"]["batch_size"] == "128"
    assert several.procedures["adam/batch_32"].batch_size is None
    assert several.procedures["adam/batch_128"].schedules["lr"] == schedules.cosine(80)
    assert list(arms_of(problem, RULES, ["as_built"], ["cosine"], []).procedures) == [
        "momentum", "adam"
    ]  # fmt: skip


def test_lanes_are_timed_with_full_groups_of_every_size(monkeypatch):
    """Missing members are made up with copies, which would count as time of the others."""
    problem = digits_problem(steps=60)
    arms = arms_of(problem, RULES, ["as_built"], ["constant"], [], (16, 32, 64)).procedures
    trials = [arm.trial(0.01, seed) for arm in arms.values() for seed in range(6)]
    timed = set()

    def timing(lane, some, steps):
        (size,) = {lane.pace(trial).batch_size for trial in some}
        timed.add((size, len(some)))
        return 0.001 * steps * len(some) * size

    monkeypatch.setattr(PopulationLane, "_timed", timing)
    monkeypatch.setattr(SerialLane, "_timed", timing)
    found = choose(problem, arms, trials, "auto", 12, 10)
    assert timed == {(size, count) for size in (16, 32, 64) for count in (1, 2, 12)}
    assert found.step_seconds["adam/batch_64"] == pytest.approx(0.064)
