"""A penalty is part of what is minimized: against torch's own weight decay, in both lanes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from ravine import penalties, rules
from ravine.batches import Batches
from ravine.errors import RecipeError, SettingError
from ravine.recipes import build_model, check
from ravine.training.lane import Member
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, mlp

STRENGTH = 0.03
PROCEDURES = {"sgd": Procedure.of(rules.get("sgd"))}
LANES = {
    "serial": SerialLane,
    "population": lambda problem, of: PopulationLane(problem, of, 2, compiled=False),
}


def penalized(model, penalty, steps=20):
    problem = digits_problem(model, torch.float64, steps=steps)
    return replace(problem, recipe=replace(problem.recipe, penalty=penalty))


def decayed(problem, groups, lr, seed):
    """torch's SGD with weight decay on the minibatches of a seed: the model, and its costs."""
    model = build_model(problem, seed).double()
    optimizer = torch.optim.SGD(groups(model), lr=lr)
    order = Batches([seed], len(problem.train), problem.batch_size, torch.device("cpu"))
    costs = []
    for step in range(problem.steps):
        rows = order.at(step)[0]
        optimizer.zero_grad()
        cost = problem.recipe.cost(model(problem.train.inputs[rows]), problem.train.targets[rows])
        cost.backward()
        decay = sum(
            group["weight_decay"] / 2 * float((p.detach() ** 2).sum())
            for group in optimizer.param_groups
            for p in group["params"]
        )
        costs.append(cost.item() + decay)
        optimizer.step()
    return model, costs


def everything(model: nn.Module):
    return [{"params": list(model.parameters()), "weight_decay": STRENGTH}]


def matrices(model: nn.Module):
    of = {2: [], 1: []}
    for param in model.parameters():
        of[param.ndim].append(param)
    return [
        {"params": of[2], "weight_decay": STRENGTH},
        {"params": of[1], "weight_decay": 0.0},
    ]


@pytest.mark.parametrize(("least_dims", "groups"), [(1, everything), (2, matrices)])
@pytest.mark.parametrize("lane", LANES)
def test_l2_is_torchs_weight_decay(lane, least_dims, groups):
    problem = penalized(mlp, penalties.l2(STRENGTH, least_dims))
    made = LANES[lane](problem, PROCEDURES)
    trial = PROCEDURES["sgd"].trial(0.2, seed=3)
    (done,) = made.train([Member.new(trial)], problem.steps, lambda steps: None)
    model, costs = decayed(problem, groups, 0.2, 3)
    learned = made.learned(done)
    for name, param in model.named_parameters():
        assert torch.allclose(learned[name], param, rtol=1e-12, atol=1e-14), name
    assert math.isclose(done.run.curve[0].cost, costs[0], rel_tol=1e-12)
    assert math.isclose(done.run.curve[-1].cost, costs[-1], rel_tol=1e-12)
    with torch.no_grad():  # the cost on validation data is without the penalty
        output = model(problem.validation.inputs)
        plain = problem.recipe.cost(output, problem.validation.targets)
    assert math.isclose(done.run.curve[-1].validation_cost, float(plain), rel_tol=1e-10)


def test_a_penalty_of_ones_own_is_tried_before_training():
    check(penalized(mlp, lambda named: sum(p.abs().sum() for p in named.values())))
    for wrong, said in (
        (lambda named: named["0.weight"].square(), "the penalty is Tensor"),
        (lambda named: named["nothing"].sum(), "does not take the model's parameters"),
        (lambda named: 0.1, "the penalty is 0.1"),
    ):
        with pytest.raises(RecipeError, match=said):
            check(penalized(mlp, wrong))


def test_what_is_no_penalty():
    with pytest.raises(SettingError, match=r"l2\(-1\)"):
        penalties.l2(-1)
    with pytest.raises(RecipeError, match=r"penalty=float.*penalties\.l2"):
        penalized(mlp, 0.1)
