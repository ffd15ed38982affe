"""Recipes one after the other, against plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ravine import batches, rules
from ravine.errors import SettingError
from ravine.initializers import start
from ravine.recipes import Problem
from ravine.seeds import derive
from ravine.strategies import fit, fit_stages
from ravine.training.choose import why_not_population
from ravine.training.lane import Lane
from ravine.training.procedure import Procedure
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.problems import digits_recipe, mlp, noisy
from tests.strategies.models import LANES, assert_same_state


def double(model: nn.Module, seed: int) -> None:
    with torch.no_grad():
        for param in model.parameters():
            param.mul_(2)


@pytest.mark.parametrize("lane", LANES.values(), ids=LANES)
def test_each_stage_goes_on_from_its_own_member(lane):
    """Two procedures, two seeds; the second stage: another cost, the optimizer begun anew."""
    recipe = digits_recipe(mlp, torch.float64, steps=20)

    def smooth(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(output, target, label_smoothing=0.1)

    arms = [
        Procedure("plain", "Adam", rules.adam()),
        Procedure("doubled", "Adam", rules.adam(), start(double)),
    ]
    staged = fit_stages([recipe, replace(recipe, cost=smooth)], arms, 0.01, (7, 3), lane)
    inputs, targets = recipe.train
    keys = [(name, seed) for name in ("plain", "doubled") for seed in (7, 3)]
    for member, (name, seed) in zip(staged, keys, strict=True):
        assert (member.run.trial.procedure, member.run.trial.seed) == (name, seed)
        torch.manual_seed(derive(seed, "init"))
        model = mlp().double()
        if name == "doubled":
            double(model, 0)
        order = batches.shuffled().epoch(seed, 0, len(inputs))
        for stage, cost in zip(member.stages, (F.cross_entropy, smooth), strict=True):
            optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
            for step in range(20):
                batch = order[step * 32 : (step + 1) * 32]
                optimizer.zero_grad()
                cost(model(inputs[batch]), targets[batch]).backward()
                optimizer.step()
            assert_same_state(model, stage.model, 1e-10)
        assert member.model is member.stages[-1].model


def test_running_statistics_go_on_too():
    recipe = digits_recipe(noisy, torch.float64, steps=10)
    alone, together = (fit_stages([recipe] * 2, "sgd", 0.1, (0, 1), of) for of in LANES.values())
    for one, other in zip(alone, together, strict=True):
        assert_same_state(one.model, other.model, 1e-10)
        assert int(one.model[1].num_batches_tracked) == 20


def test_new_parameters_begin_as_the_procedure_says():
    def model(layers: int) -> nn.Module:
        return nn.Sequential(*(nn.Linear(64 if i == 0 else 10, 10) for i in range(layers)))

    recipes = [digits_recipe(partial(model, layers), torch.float64, steps=1) for layers in (1, 2)]
    arm = Procedure("doubled", "SGD", rules.sgd(), start(double))
    (member,) = fit_stages(recipes, arm, 1e-14, (4,), LANES["serial"])
    torch.manual_seed(derive(4, "init"))
    built = model(2).double()
    assert (member.model[1].weight - 2 * built[1].weight).abs().max() <= 1e-13
    assert (member.model[0].weight - member.stages[0].model[0].weight).abs().max() <= 1e-13


def test_a_population_is_not_ruled_out_by_the_seeds_it_is_tried_with():
    reasons = []

    def make(problem: Problem, arms: Mapping[str, Procedure]) -> Lane:
        trials = [Trial(name, arm.rule.defaults, 7) for name, arm in arms.items()]
        reasons.append(why_not_population(problem, arms, trials))
        return SerialLane(problem, arms)

    fit_stages([digits_recipe(steps=3)] * 2, "sgd", seeds=(7, 3), lane=make)
    assert reasons == [None, None]


def test_one_stage_is_a_plain_training():
    recipe = digits_recipe(steps=5)
    (one,) = fit_stages([recipe], "sgd", lane=LANES["serial"])
    (same,) = fit(recipe, "sgd", lane=LANES["serial"])
    assert one.run == same.run


def test_stages_that_have_nothing_in_common_are_refused():
    with pytest.raises(SettingError, match="no recipes"):
        fit_stages([], "sgd")
    recipe = digits_recipe(steps=1)
    other = replace(recipe, model=lambda: nn.Linear(64, 10))
    with pytest.raises(SettingError, match="nothing of the source matches"):
        fit_stages([recipe, other], "sgd", lane=LANES["serial"])
