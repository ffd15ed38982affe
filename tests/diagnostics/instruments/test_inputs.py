"""Scale of what goes into a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.diagnostics.instrument import Readings
from ravine.diagnostics.instruments.inputs import Inputs
from tests.diagnostics.instruments.models import MAKERS, alone, case, drawn, look_of


def read(model: nn.Module, x: Tensor) -> Readings:
    return Inputs().look(look_of(model, x))


@pytest.mark.parametrize("kind", MAKERS)
def test_mean_std_and_largest(kind: str) -> None:
    run = case(kind)
    x = run.inputs.numpy()
    readings = Inputs().look(run.look())
    assert alone(readings, "input_mean") == pytest.approx(np.mean(x), rel=1e-12)
    assert alone(readings, "input_std") == pytest.approx(np.std(x), rel=1e-12)
    assert alone(readings, "largest_input") == np.max(np.abs(x))
    assert alone(readings, "nan_inputs") == 0.0


SCALES = np.array([1.0, 100.0, 0.0, 3.0, 2.0])  # of five features, one of them constant


def spread(std: np.ndarray) -> float:
    varying = std[std > 0]
    return float(np.max(varying) / np.sort(varying)[(len(varying) - 1) // 2])


@pytest.mark.parametrize(
    ("model", "shape", "axis"),
    [
        (nn.Sequential(nn.Linear(5, 2)), (30, 5), 1),
        (nn.Sequential(nn.ReLU(), nn.Conv2d(5, 2, 1)), (30, 5, 3, 3), 1),
        (nn.Sequential(nn.Conv1d(5, 2, 1)), (30, 5, 4), 1),
        (nn.Sequential(nn.BatchNorm1d(5)), (30, 5), 1),
        (nn.Sequential(nn.Linear(5, 2)), (30, 4, 5), 2),
        (nn.Sequential(nn.LayerNorm(5)), (30, 2, 2, 5), 3),
    ],
)
def test_features_are_what_the_first_weights_tell_apart(
    model: nn.Module, shape: tuple[int, ...], axis: int
) -> None:
    x = drawn(*shape)
    x *= torch.from_numpy(SCALES).reshape(-1, *[1] * (len(shape) - 1 - axis))
    std = np.std(x.numpy(), axis=tuple(a for a in range(len(shape)) if a != axis))
    readings = read(model, x + 7.0)
    assert alone(readings, "constant_inputs") == pytest.approx(1 / 5, rel=1e-15)
    assert alone(readings, "input_scales") == pytest.approx(spread(std), rel=1e-10)


def test_flattened_images_have_pixels_for_features() -> None:
    x = drawn(20, 1, 3, 3)
    x[:, :, 0] = 4.0
    x[:, 0, 1, 1] *= 50
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    readings = read(model, x)
    assert alone(readings, "constant_inputs") == pytest.approx(3 / 9, rel=1e-15)
    expected = spread(np.std(x.numpy(), axis=0).ravel())
    assert alone(readings, "input_scales") == pytest.approx(expected, rel=1e-12)


def test_nan_is_counted_and_kept() -> None:
    x = drawn(4, 5)
    x[1, 2] = float("nan")
    readings = read(nn.Sequential(nn.Linear(5, 2)), x)
    assert alone(readings, "nan_inputs") == 1 / 20
    assert np.isnan(alone(readings, "input_mean"))
    assert np.isnan(alone(readings, "largest_input"))


def test_one_value_per_feature_has_no_spread() -> None:
    readings = read(nn.Sequential(nn.Linear(5, 2)), drawn(1, 5))
    assert {name.quantity for name in readings} == {
        *("input_mean", "input_std", "largest_input", "nan_inputs")
    }


def test_indices_are_left_out() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2))
    assert read(model, torch.arange(9).reshape(3, 3)) == {}


def test_integers_that_the_model_converts_count() -> None:
    class Converting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.first(x.double())

    x = torch.arange(0, 250, 10, dtype=torch.uint8).reshape(5, 5)
    assert alone(read(Converting(), x), "largest_input") == 240.0
