"""A comparison whose arms differ in the size of their minibatches."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from ravine import api, rules
from ravine.comparison.store import Store
from ravine.comparison.verdict import conclude
from ravine.errors import FolderError, RecipeError
from ravine.recipes import load
from ravine.report.facts import facts_of
from ravine.training.lane import Member
from ravine.training.pace import evaluation_steps
from ravine.training.procedure import Procedure
from ravine.training.serial import SerialLane
from tests.problems import digits_recipe, noisy

SIZES = (32, 16)
"""As words "16" comes first."""


def recipe():
    """33 gradient steps of 32 digits, or 67 of 16."""
    return digits_recipe(dtype=torch.float64, epochs=1, steps=None)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("sizes") / "run"
    api.compare(recipe(), ["sgd"], out, batch_size=SIZES, command="test")
    return out


def test_every_final_run_is_that_of_a_recipe_of_its_size(compared):
    with closing(Store(compared)) as store:
        runs = store.runs("final")
    problem = load(recipe())
    for size in SIZES:
        run = next(r for r in runs if r.trial.procedure == f"sgd/batch_{size}")
        apart = load(replace(recipe(), batch_size=size))
        lane = SerialLane(apart, {run.trial.procedure: Procedure.of(rules.sgd())})
        (own,) = lane.train([Member.new(run.trial)], apart.steps, lambda steps: None)
        assert [p.step for p in run.curve] == evaluation_steps(problem.steps)
        assert [p.validation_cost for p in run.curve] == pytest.approx(
            [p.validation_cost for p in own.run.curve], rel=1e-9
        )


def test_the_verdict_says_what_its_steps_are(compared):
    said = json.loads((compared / "verdict.json").read_text())
    assert {a["name"]: (a["batch_size"], a["steps"]) for a in said["arms"]} == {
        "sgd/batch_32": (32, 33), "sgd/batch_16": (16, 67)
    }  # fmt: skip
    assert (
        "Steps are counted in minibatches of 32 examples: a full training takes 33 of 32, or 67 of 16."
        in said["warnings"]
    )
    codes = {arm["name"]: arm["code"] for arm in said["arms"]}
    assert [code.splitlines()[0] for _, code in sorted(codes.items())] == [
        "batch_size = 16", "batch_size = 32"
    ]  # fmt: skip


def test_the_report_names_the_unit_of_its_steps(compared):
    with closing(Store(compared)) as store:
        fact = facts_of(conclude(store))
    assert fact.counts[2] == "33 steps of 32 examples each, or as many epochs"
    assert fact.validation.x_title == "steps of 32 examples"
    assert fact.speed.races[0].name == "steps of 32 examples to target"


def test_as_many_steps_of_larger_minibatches_are_more_examples(tmp_path):
    recipe = digits_recipe(epochs=None, steps=27)
    said = api.compare(recipe, ["sgd"], tmp_path, batch_size=(16, 32), command="test")
    assert [(arm.batch_size, arm.steps) for arm in said.arms] == [(32, 27), (16, 27)]
    assert any("larger minibatches see more examples" in line for line in said.warnings)


def test_every_size_is_tried_before_anything_is_trained(tmp_path):
    recipe = digits_recipe(noisy, steps=60)
    with pytest.raises(RecipeError, match="Expected more than 1 value per channel"):
        api.compare(recipe, ["sgd"], tmp_path / "run", batch_size=(32, 1))
    assert not (tmp_path / "run").exists()


def test_the_first_size_decides_what_the_folder_is_of(compared):
    with pytest.raises(FolderError, match="with batch size 32, this command asks for 16"):
        api.compare(recipe(), ["sgd"], compared, batch_size=SIZES[::-1])


def test_a_size_that_is_not_the_recipes_is_part_of_the_code(tmp_path):
    recipe = digits_recipe(steps=27)
    for size, line in ((16, "batch_size = 16"), (32, "optimizer")):
        said = api.compare(recipe, ["sgd", "adam"], tmp_path / str(size), batch_size=[size])
        assert said.arms[0].code.startswith(line)


def test_the_members_are_found_again(compared):
    problem = load(recipe())
    best = json.loads((compared / "verdict.json").read_text())["arms"][0]["name"]
    with closing(Store(compared)) as store:
        final = [run for run in store.runs("final") if run.trial.procedure == best]
    ends = {run.trial.seed: run.curve[-1].validation_cost for run in final}
    modules = api.members(compared, recipe())
    assert modules.keys() == ends.keys()
    for seed, module in modules.items():
        cost = problem.recipe.cost(module(problem.validation.inputs), problem.validation.targets)
        assert cost.item() == pytest.approx(ends[seed], rel=1e-9)
