"""Parameters that are not finite, not used, or not trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.diagnostics.instruments.parameters import Parameters
from tests.diagnostics.instruments.models import MAKERS, alone, at, case, drawn, look_of, stride_of


@pytest.mark.parametrize("kind", MAKERS)
def test_healthy_models(kind: str) -> None:
    look = case(kind).look()
    readings = Parameters().look(look)
    expected = max(float(p.detach().abs().max()) for p in look.model.parameters())
    assert alone(readings, "largest_parameter") == expected
    assert alone(readings, "frozen_parameters") == 0.0
    assert at(readings, "non_finite_parameter") == {}


def test_frozen_ones_are_counted_by_elements() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    readings = Parameters().look(look_of(model, drawn(5, 3)))
    assert alone(readings, "frozen_parameters") == pytest.approx(16 / 26, rel=1e-15)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_places_of_what_is_not_finite(value: float) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight.fill_(0.5)
        model[0].bias[1] = value
        model[1].weight[0, 2] = -7.0
        model[1].bias[0] = value
    readings = Parameters().look(look_of(model, drawn(5, 3)))
    assert at(readings, "non_finite_parameter") == {"0.bias": 1.0, "1.bias": 1.0}
    assert alone(readings, "largest_parameter") == 7.0


def test_unused_ones_have_no_gradient_or_one_of_zeros() -> None:
    params = {name: torch.ones(3) for name in ("used", "zero", "none", "nan", "sparse", "empty")}
    sparse = torch.sparse_coo_tensor([[0]], [2.0], (3,), check_invariants=True)
    gradients = {
        "used": torch.tensor([0.0, 0.0, 1e-30]),
        "zero": torch.zeros(3),
        "nan": torch.tensor([0.0, float("nan"), 0.0]),
        "sparse": sparse,
        "empty": torch.sparse_coo_tensor(size=(3,), check_invariants=True),
    }
    readings = Parameters().stride(stride_of(params, params, gradients))
    assert at(readings, "unused_parameter") == {
        **{"used": 0.0, "zero": 1.0, "none": 1.0, "nan": 0.0, "sparse": 0.0, "empty": 1.0}
    }
