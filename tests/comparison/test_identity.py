"""A run folder belongs to one recipe and one set of arms: what differs is told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from ravine import batches, metrics, penalties, recipes, rules, schedules
from ravine.comparison.identity import MEASURED, agree, fingerprint, procedure_digest
from ravine.initializers import start
from ravine.training.procedure import Procedure
from tests.problems import digits_recipe

RECIPE = digits_recipe(steps=27)
SHIFTED = (RECIPE.train[0] + 1e-3, RECIPE.train[1])

CHANGES = {
    "name": {"name": "another"},
    "model": {"model": lambda: nn.Linear(64, 10)},
    "cost": {"cost": lambda o, t: 2 * F.cross_entropy(o, t)},
    "metric": {"metric": metrics.accuracy},
    "maximize": {"maximize": True},
    "train": {"train": SHIFTED},
    "validation": {"validation": SHIFTED},
    "test": {"test": SHIFTED},
    "batch_size": {"batch_size": 16},
    "last_batch": {"last_batch": "keep"},
    "patience": {"patience": 1},
    "target": {"target": 0.1},
    "penalty": {"penalty": penalties.l2(1e-3)},
    "workers": {"train": TensorDataset(*RECIPE.train), "workers": 0},
}


def seen(recipe):
    return fingerprint(recipes.load(recipe))


def test_the_same_recipe_has_the_same_fingerprint():
    assert seen(RECIPE) == seen(digits_recipe(steps=27))


@pytest.mark.parametrize("field", CHANGES)
def test_a_change_of_any_field_shows(field):
    assert seen(replace(RECIPE, **CHANGES[field])) != seen(RECIPE)


def test_every_field_of_a_recipe_is_tried():
    """Length and order of examples stand elsewhere: in the settings, and in the procedures. Where a
    recipe was found tells no recipe from another."""
    elsewhere = {"epochs", "steps", "batches", "origin"}
    fields = set(recipes.Recipe.__dataclass_fields__) - elsewhere
    assert fields == set(CHANGES)


PLAIN = Procedure.of(rules.momentum())
OTHERS = {
    "rule": replace(PLAIN, rule=rules.momentum(momentum=0.8)),
    "start": replace(PLAIN, start=start("he_normal")),
    "schedule": replace(PLAIN, schedules={"lr": schedules.cosine(27)}),
    "late schedule": replace(
        PLAIN, schedules={"lr": schedules.piecewise([26], [1.0, 0.5])}
    ),
    "momentum": replace(PLAIN, schedules={"momentum": schedules.ramp(0.5, 0.9, 27)}),
    "order": replace(PLAIN, order=batches.stored()),
    "order in the second epoch": replace(PLAIN, order=batches.shuffled_once()),
}  # fmt: skip


@pytest.mark.parametrize("part", OTHERS)
def test_a_change_of_any_part_shows(part):
    problem = recipes.load(RECIPE)
    state = torch.random.get_rng_state()
    assert procedure_digest(problem, OTHERS[part]) != procedure_digest(problem, PLAIN)
    assert procedure_digest(problem, replace(PLAIN)) == procedure_digest(problem, PLAIN)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_recipes_own_order_is_a_part_too():
    kept = recipes.load(replace(RECIPE, batches=batches.shuffled_once()))
    assert procedure_digest(kept, PLAIN) != procedure_digest(recipes.load(RECIPE), PLAIN)


def differing(one, other):
    first, second = seen(one), seen(other)
    return [name for name in first if not agree(name, first[name], second[name])]


def test_each_change_is_told_by_its_own_name():
    """A penalty's strength shows whatever the cost is that it adds to."""
    weak, strong = (replace(RECIPE, penalty=penalties.l2(v)) for v in (1e-6, 1.001e-6))
    assert differing(weak, strong) == ["penalty"]
    assert differing(RECIPE, weak) == ["penalty"]
    doubled = replace(RECIPE, cost=lambda o, t: 2 * F.cross_entropy(o, t), metric=RECIPE.measure)
    assert differing(RECIPE, doubled)[0] == "cost"
    assert "penalty" not in differing(RECIPE, doubled)
    wide = nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 10))
    assert "model" in differing(RECIPE, replace(RECIPE, model=lambda: wide))


def test_rounding_is_no_change():
    assert all(agree(name, "2.3025851", "2.3025858") for name in MEASURED)
    assert not any(agree(name, "2.3025851", "2.3035851") for name in MEASURED)
    assert not any(agree(name, None, "2.3025851") for name in MEASURED)
    assert not agree("batch size", "32.0", "32")
