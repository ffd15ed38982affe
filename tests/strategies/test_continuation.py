"""From a blurred cost to the true one: who finds the global minimum, and from where."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine import rules, schedules
from ravine.batches import stored
from ravine.errors import SettingError
from ravine.initializers import start
from ravine.recipes import Recipe
from ravine.seeds import derive
from ravine.strategies import Smoothed, continuation, fit_stages
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from tests.problems import digits_recipe, noisy
from tests.strategies.models import LANES, assert_same_state


class Point(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.theta.expand(len(x))


Cost = Callable[[Tensor, float], Tensor]


def ripples(theta: Tensor, sigma: float) -> Tensor:
    """E of (θ-1)²/4 - cos(3(θ-1)): minima about 2.1 apart, the lowest at 1."""
    away = theta - 1
    return (away**2 + sigma**2) / 4 - math.exp(-4.5 * sigma**2) * torch.cos(3 * away)


def wells(theta: Tensor, sigma: float) -> Tensor:
    """E of θ⁴/4 - 2θ² + θ: minima near 2 and, lower, near -2. Convex from σ = 1.15 on."""
    fourth = theta**4 + 6 * theta**2 * sigma**2 + 3 * sigma**4
    return fourth / 4 - 2 * (theta**2 + sigma**2) + theta


@dataclass(frozen=True)
class Landscape:
    cost: Cost
    starts: tuple[float, float]
    rate: float
    widest: float


LANDSCAPES = {
    "ripples": Landscape(ripples, (-9.0, 11.0), 0.04, 1.5),
    "wells": Landscape(wells, (-3.0, 3.0), 0.01, 1.5),
}
STARTS = 21
STAGES = 4
STEPS = 120


def recipe_of(landscape: Landscape, sigma: float = 0.0) -> Recipe:
    nothing = torch.zeros(1), torch.zeros(1)

    def cost(output: Tensor, target: Tensor) -> Tensor:
        return landscape.cost(output, sigma).mean()

    return Recipe(
        "landscape", Point, cost, nothing, nothing, batch_size=1, steps=STEPS, batches=stored()
    )


def found(recipes: Sequence[Recipe], landscape: Landscape) -> np.ndarray:
    """Where gradient descent ends from a grid of starts, all of them one population."""

    grid = np.linspace(*landscape.starts, STARTS)
    value = {derive(seed, "start"): at for seed, at in enumerate(grid)}

    def begin(model: nn.Module, seed: int) -> None:
        for param in model.parameters():
            nn.init.constant_(param, value[seed])

    descent = Procedure("descent", "Gradient descent", rules.sgd(), start(begin))
    lane = partial(PopulationLane, capacity=STARTS, compiled=False)
    members = fit_stages(recipes, descent, landscape.rate, range(STARTS), lane)
    return np.array([float(member.model.theta.detach()) for member in members])


def lowest(landscape: Landscape) -> float:
    grid = torch.linspace(*landscape.starts, 200_001, dtype=torch.float64)
    return float(grid[landscape.cost(grid, 0.0).argmin()])


def basin(landscape: Landscape) -> int:
    """How many of the starts lie between the maxima on both sides of the global minimum."""
    grid = torch.linspace(*landscape.starts, 200_001, dtype=torch.float64)
    values = landscape.cost(grid, 0.0).numpy()
    inner = (values[1:-1] > values[:-2]) & (values[1:-1] > values[2:])
    maxima = grid[1:-1][torch.from_numpy(inner)].numpy()
    which = np.searchsorted(maxima, np.linspace(*landscape.starts, STARTS))
    return int((which == np.searchsorted(maxima, lowest(landscape))).sum())


@pytest.mark.parametrize(("name", "alone"), [("ripples", 3), ("wells", 11)])
def test_continuation_finds_the_global_minimum_where_descent_does_not(name, alone):
    """With as many steps in all, plain gradient descent finds it from 3 and 11 of 21 starts, those
    in its basin; through the blurred costs, in closed form or by sampled noise, it is found from
    all of them."""
    landscape = LANDSCAPES[name]
    goal = lowest(landscape)
    widths = landscape.widest * schedules.exponential(0.4)
    closed = [recipe_of(landscape, widths(stage)) for stage in range(STAGES)]
    series = {
        "plain": [replace(recipe_of(landscape), steps=STEPS * (STAGES + 1))],
        "closed": [*closed, recipe_of(landscape)],
        "sampled": continuation(recipe_of(landscape), widths, STAGES),
    }
    ends = {way: found(recipes, landscape) for way, recipes in series.items()}
    counts = {way: int((np.abs(at - goal) <= 1e-3).sum()) for way, at in ends.items()}
    assert counts == {"plain": alone, "closed": STARTS, "sampled": STARTS}
    assert alone == basin(landscape)


def test_stages_are_blurred_from_wide_to_narrow_and_then_not():
    recipe = digits_recipe(steps=9)
    stages = continuation(recipe, 0.5 * schedules.exponential(math.log(2)), 3, steps=4)
    models = [stage.model() for stage in stages]
    assert [m.sigma for m in models[:3]] == pytest.approx([0.5, 0.25, 0.125])
    assert all(isinstance(m, Smoothed) for m in models[:3])
    assert stages[-1] is recipe
    assert [(s.steps, s.epochs) for s in stages] == [(4, None)] * 3 + [(9, None)]
    assert len({stage.name for stage in stages}) == 4
    by_epochs = continuation(replace(recipe, steps=None, epochs=2), schedules.constant(), 1)
    assert [(s.steps, s.epochs) for s in by_epochs] == [(66, None), (None, 2)]


@pytest.mark.parametrize("rule", ["adam", "nesterov", "muon"])
def test_members_are_the_same_alone_and_in_a_population(rule):
    """With batch norms, dropout and a frozen parameter, each under its own noise."""
    recipe = digits_recipe(noisy, torch.float64, steps=8)
    stages = continuation(recipe, 0.1 * schedules.exponential(1.0), 2)
    alone, together = (fit_stages(stages, rule, 0.01, (0, 1), lane) for lane in LANES.values())
    for one, other in zip(alone, together, strict=True):
        for stage, same in zip(one.stages, other.stages, strict=True):
            assert_same_state(stage.model, same.model, 1e-10)
            assert stage.run.curve[-1].cost == pytest.approx(same.run.curve[-1].cost, rel=1e-10)


def test_validation_shows_the_true_cost():
    recipe = digits_recipe(dtype=torch.float64, steps=3)
    (member,) = fit_stages(
        continuation(recipe, schedules.constant(2.0), 1), "sgd", 0.01, lane=LANES["serial"]
    )
    blurred = member.stages[0]
    inputs, targets = recipe.validation
    true = recipe.cost(blurred.model.model(inputs), targets).item()
    assert blurred.run.curve[-1].validation_cost == pytest.approx(true, rel=1e-12)


def test_a_series_that_cannot_be_is_refused():
    recipe = digits_recipe(steps=1)
    for stages in (0, -1, 1.5, True):
        with pytest.raises(SettingError, match="stages="):
            continuation(recipe, schedules.constant(), stages)
    with pytest.raises(SettingError, match="expected a schedule"):
        continuation(recipe, 0.5, 2)
    with pytest.raises(SettingError, match="sigma is 0 at stage 2 of 3"):
        continuation(recipe, schedules.linear(2, final=0.0), 3)
