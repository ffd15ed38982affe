"""Where NaN and infinite numbers come from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ravine.diagnostics.instrument import Name
from ravine.diagnostics.instruments.finite import Finite
from tests.diagnostics.instruments.models import MAKERS, case, drawn, look_of, stride_of


class Broken(nn.Module):
    """Puts a value into two of its outputs."""

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.zeros_like(x)
        mask[0, :2] = self.value
        return x + mask


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_the_first_layer_in_order_of_execution(value: float) -> None:
    model = nn.Sequential(nn.Linear(3, 4), Broken(value), nn.Linear(4, 2), nn.Softmax(dim=1))
    look = look_of(model, drawn(5, 3))
    assert Finite().look(look) == {Name("first_non_finite_output", "1"): 2 / 20}


def test_the_first_parameter() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].bias[3] = float("nan")
        model[1].weight.fill_(float("inf"))
    assert Finite().look(look_of(model, drawn(5, 3))) == {
        Name("first_non_finite_output", "0"): 1 / 4,
        Name("first_non_finite_parameter", "0.bias"): 1 / 4,
    }


def test_sums_that_overflow_are_finite() -> None:
    x = torch.full((4, 4), 3e307, dtype=torch.float64)
    assert Finite().look(look_of(nn.Sequential(nn.Identity(), _Scaled()), x)) == {}


class _Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return 1e-300 * self.scale * x


def test_the_gradient_nearest_to_the_loss() -> None:
    params = {name: torch.ones(4) for name in "abcd"}
    gradients = {name: torch.ones(4) for name in "abcd"}
    gradients["b"][0] = float("nan")
    gradients["c"][:3] = float("inf")
    found = Finite().stride(stride_of(params, params, gradients))
    assert found == {Name("last_non_finite_gradient", "c"): 3 / 4}


def test_a_sparse_gradient() -> None:
    params = {"a": torch.ones(4)}
    gradients = {"a": torch.sparse_coo_tensor([[1]], [float("nan")], (4,), check_invariants=True)}
    found = Finite().stride(stride_of(params, params, gradients))
    assert found == {Name("last_non_finite_gradient", "a"): 1 / 4}


@pytest.mark.parametrize("kind", MAKERS)
def test_nothing_while_all_is_finite(kind: str) -> None:
    look = case(kind).look()
    assert Finite().look(look) == {}
    look.loss.backward()
    gradients = {name: p.grad for name, p in look.params.items() if p.grad is not None}
    assert Finite().stride(stride_of(dict(look.params), dict(look.params), gradients)) == {}
