"""A comparison whose arms differ in the size of their minibatches."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from ravine import api, rules
from ravine.comparison.store import Store
from ravine.errors import FolderError
from ravine.recipes import load
from ravine.training.lane import Member
from ravine.training.pace import evaluation_steps
from ravine.training.procedure import Procedure
from ravine.training.serial import SerialLane
from tests.problems import digits_recipe

SIZES = (16, 32)


def recipe():
    """67 gradient steps of 16 digits, or 33 of 32."""
    return digits_recipe(dtype=torch.float64, epochs=1, steps=None)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("sizes") / "run"
    api.compare(recipe(), ["sgd"], out, batch_size=SIZES, command="test")
    return out


def test_every_final_run_is_that_of_a_recipe_of_its_size(compared):
    with closing(Store(compared)) as store:
        runs = store.runs("final")
    problem = load(recipe(), batch_size=16)
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
    assert {arm["name"]: arm["batch_size"] for arm in said["arms"]} == {
        "sgd/batch_16": "16", "sgd/batch_32": "32"
    }  # fmt: skip
    assert (
        "Steps are counted in minibatches of 16 examples: a full training takes 67 gradient steps of "
        "16, or 33 gradient steps of 32." in said["warnings"]
    )
    codes = {arm["name"]: arm["code"] for arm in said["arms"]}
    assert [code.splitlines()[0] for _, code in sorted(codes.items())] == [
        "batch_size = 16", "batch_size = 32"
    ]  # fmt: skip


def test_the_first_size_decides_what_the_folder_is_of(compared):
    with pytest.raises(FolderError, match="with batch size 16, this command asks for 32"):
        api.compare(recipe(), ["sgd"], compared, batch_size=SIZES[::-1])


def test_the_members_are_found_again(compared):
    """The recipe's own size is 32, the folder's 16."""
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
