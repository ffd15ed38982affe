"""Layers replaced inside a module, each once."""

from __future__ import annotations

import pytest
from torch import nn

from ravine.training.noise import KeyedDropout, keyed
from ravine.training.recurrent import PlainGRU, plain_recurrent
from ravine.training.replacing import replaced


def relu(module: nn.Module) -> nn.Module | None:
    return nn.ReLU() if isinstance(module, nn.Tanh) else None


def test_a_module_in_two_places_stays_one():
    tanh, other = nn.Tanh(), nn.Tanh()
    model = nn.Sequential(tanh, nn.Sequential(other, tanh), tanh)
    assert replaced(model, relu) is model
    assert isinstance(model[0], nn.ReLU)
    assert model[0] is model[2] is model[1][1]
    assert isinstance(model[1][0], nn.ReLU)
    assert model[1][0] is not model[0]


def test_the_module_itself_is_replaced():
    assert isinstance(replaced(nn.Tanh(), relu), nn.ReLU)


def test_what_stays_keeps_its_place_and_absent_children_stay_absent():
    linear, empty = nn.Linear(1, 1), nn.Sequential()
    model = nn.ModuleDict({"first": linear, "tanh": nn.Tanh(), "empty": empty})
    model.register_module("absent", None)
    replaced(model, relu)
    assert list(model._modules) == ["first", "tanh", "empty", "absent"]
    assert model["first"] is linear
    assert model["empty"] is empty
    assert model._modules["absent"] is None
    assert model.tanh is model["tanh"]


def test_modules_that_hold_each_other_are_visited_once():
    parent, child = nn.Sequential(nn.Tanh()), nn.Sequential(nn.Tanh())
    parent.append(child)
    child.append(parent)
    replaced(parent, relu)
    assert isinstance(parent[0], nn.ReLU)
    assert isinstance(child[0], nn.ReLU)


@pytest.mark.parametrize(
    ("change", "layer", "kind"),
    [(keyed, nn.Dropout(0.5), KeyedDropout), (plain_recurrent, nn.GRU(2, 2), PlainGRU)],
    ids=["keyed", "plain recurrent"],
)
def test_a_shared_layer_is_one_new_layer(change, layer, kind):
    model = nn.ModuleDict({"first": layer, "second": nn.ModuleList([layer])})
    change(model)
    assert isinstance(model["first"], kind)
    assert model["first"] is model["second"][0]
