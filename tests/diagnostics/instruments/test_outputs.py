"""What a model returns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.diagnostics.instrument import Name, Readings
from ravine.diagnostics.instruments.outputs import ENDINGS, Outputs
from tests.diagnostics.instruments.models import MAKERS, alone, case, drawn
from tests.diagnostics.looking import look_at


class Ending(nn.Module):
    """Returns a function of its inputs that has a graph."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.one = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.one * x)


def read(x: Tensor, function: Callable[[Tensor], Tensor] = lambda x: x * 1) -> Readings:
    look = look_at(Ending(function), x, x, lambda y, _: y.square().sum())
    return Outputs().look(look)


@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 2, 2), (6, 5, 4), (2, 2)])
def test_spread_between_and_within(shape: tuple[int, ...]) -> None:
    x = drawn(*shape)
    readings, rows = read(x), x.numpy().reshape(shape[0], -1)
    between = np.sqrt(np.mean(np.var(rows, axis=0)))
    within = np.sqrt(np.mean(np.var(rows, axis=1)))
    assert alone(readings, "output_mean") == pytest.approx(np.mean(rows), rel=1e-12)
    assert alone(readings, "output_std") == pytest.approx(between, rel=1e-12)
    assert alone(readings, "output_spread") == pytest.approx(between / within, rel=1e-12)


def test_a_constant_output_has_no_spread() -> None:
    readings = read(torch.tensor([[0.1, 0.7, 0.3]], dtype=torch.float64).repeat(8, 1))
    assert alone(readings, "output_spread") == pytest.approx(0.0, abs=1e-15)
    assert alone(readings, "output_std") == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_one_output_has_nothing_within(shape: tuple[int, ...]) -> None:
    x = drawn(*shape)
    readings = read(x)
    assert alone(readings, "output_std") == pytest.approx(np.std(x.numpy()), rel=1e-12)
    assert Name("output_spread") not in readings
    assert alone(readings, "output_width") == 1.0


@pytest.mark.parametrize(
    ("shape", "width"), [((6, 4), 4), ((6, 3, 2, 2), 3), ((6, 5, 4), 4), ((), 1)]
)
def test_width(shape: tuple[int, ...], width: int) -> None:
    assert alone(read(drawn(*shape)), "output_width") == width


def test_negative_and_zero() -> None:
    readings = read(torch.tensor([[-1.0, 0.0, 2.0, -3.0, -0.5]], dtype=torch.float64))
    assert alone(readings, "negative_outputs") == pytest.approx(3 / 5, rel=1e-15)
    assert alone(readings, "zero_outputs") == pytest.approx(1 / 5, rel=1e-15)


@pytest.mark.parametrize(
    ("function", "shape", "expected"),
    [
        (lambda x: x.softmax(-1), (6, 4), 1.0),
        (lambda x: x.softmax(1), (6, 3, 2, 2), 1.0),
        (lambda x: x.softmax(-1), (6, 5, 3), 1.0),
        (lambda x: x.softmax(-1), (6, 1), 1.0),
        (lambda x: x.softmax(0), (6, 4), 0.0),
        (lambda x: x.sigmoid(), (6, 4), 0.0),
        (lambda x: x.log_softmax(-1), (6, 4), 0.0),
        (lambda x: 0.9999 * x.softmax(-1), (6, 4), 0.0),
        # rows that sum to 1 with a negative number in them
        (lambda x: 0.2 * (x - x.mean(-1, keepdim=True)) + 0.25, (6, 4), 0.0),
        (lambda x: x, (6,), 0.0),
    ],
)
def test_probabilities(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...], expected: float
) -> None:
    assert alone(read(drawn(*shape), function), "output_sums_to_one") == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_probabilities_in_other_precisions(dtype: torch.dtype) -> None:
    readings = read(drawn(64, 10), lambda x: x.softmax(-1).to(dtype))
    assert alone(readings, "output_sums_to_one") == 1.0
    assert alone(readings, "ends_in_softmax") == 1.0


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (nn.Softmax(dim=1), "ends_in_softmax"),
        (lambda x: F.softmax(x, dim=1), "ends_in_softmax"),
        (nn.LogSoftmax(dim=1), "ends_in_log_softmax"),
        (nn.Sigmoid(), "ends_in_sigmoid"),
        (lambda x: torch.sigmoid(x).unsqueeze(1).squeeze(1).mT.reshape(-1, 2), "ends_in_sigmoid"),
        (nn.Tanh(), "ends_in_tanh"),
        (nn.ReLU(), "ends_in_relu"),
        (nn.ReLU(inplace=True), "ends_in_relu"),
        (lambda x: x.softmax(1) * 2, None),
        (nn.Linear(4, 4).double(), None),
    ],
)
def test_the_last_operation(function: Callable[[Tensor], Tensor], expected: str | None) -> None:
    readings = read(drawn(6, 4), function)
    found = {name: readings[Name(name)] for name in ENDINGS.values()}
    assert found == {name: float(name == expected) for name in ENDINGS.values()}


def test_no_graph_no_ending() -> None:
    look = look_at(nn.Linear(2, 2).double(), drawn(3, 2), drawn(3), lambda y, _: y.sum())
    hidden = look.output.detach() if look.output is not None else None
    bare = type(look)(**{**vars(look), "output": hidden})
    assert not {name.quantity for name in Outputs().look(bare)} & set(ENDINGS.values())


@pytest.mark.parametrize("kind", MAKERS)
def test_every_model_ends_in_nothing_and_four_wide(kind: str) -> None:
    readings = Outputs().look(case(kind).look())
    assert alone(readings, "output_width") == 4.0
    assert [alone(readings, name) for name in ENDINGS.values()] == 5 * [0.0]
