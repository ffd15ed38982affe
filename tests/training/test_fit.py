"""Members trained together, handed back as modules."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from ravine import batches, rules, schedules
from ravine.errors import RecipeError, SettingError, UnknownNameError
from ravine.initializers import start
from ravine.seeds import derive
from ravine.training.fit import fit
from ravine.training.lane import Lane
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, digits_recipe, mlp, noisy

STEPS = 40
LANES = {"serial": SerialLane, "population": partial(PopulationLane, capacity=6, compiled=False)}


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize("lane", LANES.values(), ids=LANES)
def test_members_are_those_of_loops_in_plain_pytorch(lane):
    """Two rules from three seeds, in the order asked for; torch's optimizers, batches by hand."""
    recipe = digits_recipe(mlp, torch.float64, steps=STEPS)
    members = fit(recipe, ["sgd", rules.adam()], lr=0.05, seeds=(4, 1, 2), lane=lane)
    inputs, targets = recipe.train
    optimizers = [torch.optim.SGD] * 3 + [torch.optim.Adam] * 3
    seeds = (4, 1, 2) * 2
    for member, optimizer, seed in zip(members, optimizers, seeds, strict=True):
        torch.manual_seed(derive(seed, "init"))
        model = mlp().double()
        stepper = optimizer(model.parameters(), lr=0.05)
        for step in range(STEPS):
            epoch, position = divmod(step, len(inputs) // 32)
            order = batches.shuffled().epoch(seed, epoch, len(inputs))
            batch = order[position * 32 : (position + 1) * 32]
            stepper.zero_grad()
            F.cross_entropy(model(inputs[batch]), targets[batch]).backward()
            stepper.step()
        assert (flat(member.model) - flat(model)).abs().max() <= 1e-10
        assert not member.model.training
        assert member.run.trial.seed == seed
        assert member.run.curve[-1].step == STEPS


def test_the_lanes_agree_on_members_that_differ_in_everything():
    problem = digits_problem(noisy, torch.float64, steps=STEPS)
    arms = [
        Procedure("a", "A", rules.sgd(), start("he_normal"), {"lr": schedules.cosine(STEPS)}),
        Procedure("b", "B", rules.adam(), start("lsuv"), {}, batches.stored()),
    ]
    alone, together = (fit(problem, arms, 0.01, range(3), lane) for lane in LANES.values())
    for one, other in zip(alone, together, strict=True):
        assert one.run.trial == other.run.trial
        for name, value in one.model.state_dict().items():
            theirs = other.model.state_dict()[name]
            assert (theirs - value).abs().max() <= 1e-10 * value.abs().max().clamp(min=1), name


def test_a_lane_is_chosen_where_none_is_given():
    problem = digits_problem(mlp, torch.float64, steps=3)
    chosen = fit(problem, "sgd", seeds=(0, 1))
    for member, same in zip(chosen, fit(problem, "sgd", None, (0, 1), "serial"), strict=True):
        assert member.run.trial.lr == rules.sgd().defaults["lr"]
        assert (flat(member.model) - flat(same.model)).abs().max() <= 1e-10


def test_threads_are_as_before():
    seen = []

    class Looking(SerialLane):
        def chunks(self, members: object) -> object:
            seen.append(torch.get_num_threads())
            return super().chunks(members)

    def make(*args: object) -> Lane:
        return Looking(*args)

    before = torch.get_num_threads()
    fit(digits_problem(mlp, steps=1), "sgd", lane=make)
    assert seen == [before] == [torch.get_num_threads()]


def test_what_cannot_be_trained_is_refused():
    problem = digits_problem(mlp, steps=1)
    for bad, says in {
        (): "no procedures",
        ("sgd", "sgd"): "'sgd' comes twice",
        (0.1,): "0.1 is no rule",
    }.items():
        with pytest.raises(SettingError, match=says):
            fit(problem, bad)
    with pytest.raises(UnknownNameError, match="did you mean adam"):
        fit(problem, "adamm")
    with pytest.raises(SettingError, match="no seeds"):
        fit(problem, "sgd", seeds=())
    with pytest.raises(SettingError, match="3 comes twice"):
        fit(problem, "sgd", seeds=(3, 1, 3))
    for lr in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SettingError, match="expected a number above 0"):
            fit(problem, "sgd", lr=lr)
    with pytest.raises(UnknownNameError, match="lane"):
        fit(problem, "sgd", lane="paralel")
    with pytest.raises(RecipeError, match="does not take"):
        fit(replace(problem.recipe, cost=F.mse_loss), "sgd")
