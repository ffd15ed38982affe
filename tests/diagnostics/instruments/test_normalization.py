"""Batch norms and what passes through them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from ravine.diagnostics.instrument import Name
from ravine.diagnostics.instruments.normalization import Normalization
from ravine.normalization import inspect
from tests.diagnostics.instruments.models import MAKERS, at, case, drawn, look_of


@pytest.mark.parametrize(
    ("norm", "shape"), [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm2d, (6, 3, 2, 4))]
)
def test_gap_between_the_forms(norm: type[nn.Module], shape: tuple[int, ...]) -> None:
    x = 3 * drawn(*shape) + 2
    look = look_of(nn.Sequential(norm(3, momentum=0.2)), x)
    readings = Normalization().look(look)
    H = np.moveaxis(x.numpy(), 1, 0).reshape(3, -1)
    n = H.shape[1]
    mean, variance = H.mean(1, keepdims=True), H.var(1, keepdims=True)
    running = 0.2 * mean, 0.8 + 0.2 * variance * n / (n - 1)
    train = (H - mean) / np.sqrt(variance + 1e-5)
    test = (H - running[0]) / np.sqrt(running[1] + 1e-5)
    gap = np.sqrt(np.mean((train - test) ** 2))
    assert at(readings, "batch_norm_gap") == {"0": pytest.approx(gap, rel=1e-12)}
    inspected = inspect(look.model, x)[0].gap.square().mean().sqrt()
    assert float(inspected) == pytest.approx(gap, rel=1e-12)
    assert at(readings, "batch_norm_count") == {"0": n}
    assert at(readings, "batch_norm_constant") == {"0": 0.0}
    assert at(readings, "batch_norm_trains") == {"0": 1.0}


def test_a_batch_of_one_has_no_training_form() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4)).eval()
    readings = Normalization().look(look_of(model, drawn(1, 4)))
    assert math.isnan(readings[Name("batch_norm_gap", "0")])
    assert readings[Name("batch_norm_count", "0")] == 1.0
    assert readings[Name("batch_norm_trains", "0")] == 0.0


def test_constant_channels() -> None:
    x = drawn(5, 4)
    x[:, 2] = 3.0
    readings = Normalization().look(look_of(nn.Sequential(nn.BatchNorm1d(4)), x))
    assert at(readings, "batch_norm_constant") == {"0": 0.25}


def test_without_running_statistics() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)).eval()
    readings = Normalization().look(look_of(model, drawn(5, 4)))
    assert at(readings, "batch_norm_trains") == {"0": 1.0}
    assert math.isnan(readings[Name("batch_norm_gap", "0")])


def test_each_use_is_one() -> None:
    norm = nn.BatchNorm1d(4)
    readings = Normalization().look(look_of(nn.Sequential(norm, nn.Tanh(), norm), drawn(5, 4)))
    assert list(at(readings, "batch_norm_gap")) == ["0", "0#2"]


@pytest.mark.parametrize("kind", MAKERS)
def test_other_layers_are_none(kind: str) -> None:
    found = Normalization().look(case(kind).look())
    assert set(at(found, "batch_norm_gap")) == ({"1"} if kind == "convolutional" else set())
    assert torch.tensor(list(found.values())).isfinite().all()
