"""What a Recipe refuses to hold, and lengths that `load` refuses."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from ravine.errors import RecipeError, SettingError
from ravine.recipes import load
from tests.problems import digits_recipe


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a\\b", "a\0b", None, 3])
def test_names_that_cannot_be_a_folders(name):
    with pytest.raises(RecipeError, match=r"a recipe has name=.*; expected"):
        digits_recipe(name=name)


@pytest.mark.parametrize("value", [0, -1, 2.5, 2.0, True, "3", [1]])
@pytest.mark.parametrize("field", ["steps", "epochs", "batch_size"])
def test_counts_are_whole_numbers_from_one(field, value):
    length = {"steps": None} if field == "epochs" else {}
    with pytest.raises(SettingError, match=f"has {field}=.*expected a whole number from 1 on"):
        digits_recipe(**{**length, field: value})
    if field != "batch_size":
        with pytest.raises(SettingError, match=f"--{field} .*; expected a whole number from 1 on"):
            load(digits_recipe(), **{field: value})


@pytest.mark.parametrize("target", [torch.nan, torch.inf, "0.1", True, torch.tensor(0.1)])
def test_targets_are_finite_numbers(target):
    with pytest.raises(SettingError, match=r"has target=.*expected a finite number"):
        digits_recipe(target=target)


def test_good_targets():
    assert [digits_recipe(target=t).target for t in (None, 0, -1.5)] == [None, 0, -1.5]


def test_maximize_is_a_bool():
    with pytest.raises(SettingError, match="maximize='no'; expected True or False"):
        digits_recipe(maximize="no")


@pytest.mark.parametrize("model", [3, None, nn.Linear(2, 2)])
def test_a_model_is_a_function(model):
    with pytest.raises(RecipeError, match=f"model of type {type(model).__name__}; expected a func"):
        digits_recipe().__class__("r", model, min, (), (), steps=1)


@pytest.mark.parametrize(
    ("field", "value", "got"),
    [
        ("cost", None, "NoneType"),
        ("cost", "cross_entropy", "str"),
        ("cost", nn.CrossEntropyLoss, "the class CrossEntropyLoss"),
        ("metric", 0.5, "float"),
        ("metric", nn.MSELoss, "the class MSELoss"),
    ],
)
def test_measures_are_functions(field, value, got):
    with pytest.raises(RecipeError, match=f"has {field}={got}; expected a function .output, targ"):
        digits_recipe(**{field: value})


def test_metrics_are_named():
    names = [None, lambda o, t: o.mean(), functools.partial(max), nn.MSELoss(), max]
    found = [digits_recipe(metric=metric).metric_name for metric in names]
    assert found == ["cost", "metric", "metric", "metric", "max"]
