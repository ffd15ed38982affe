"""Small models and lanes that the tests of strategies share."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from ravine.training.population import PopulationLane
from ravine.training.serial import SerialLane

LANES = {"serial": SerialLane, "population": partial(PopulationLane, capacity=4, compiled=False)}


def linear(seed: int, inputs: int = 4, outputs: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(inputs, outputs).double()


def diverged() -> nn.Module:
    model = linear(0)
    with torch.no_grad():
        model.bias[1] = float("nan")
    return model


def assert_same_state(one: nn.Module, other: nn.Module, tolerance: float) -> None:
    own, theirs = one.state_dict(), other.state_dict()
    assert own.keys() == theirs.keys()
    for name, value in own.items():
        scale = max(1.0, float(value.double().abs().max()))
        assert float((theirs[name] - value).double().abs().max()) <= tolerance * scale, name
