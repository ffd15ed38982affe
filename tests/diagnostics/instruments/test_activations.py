"""Scale, zeros and saturation of outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.diagnostics.instruments.activations import SATURATED, Activations
from tests.diagnostics.instruments.models import MAKERS, at, case, drawn, look_of
from tests.diagnostics.looking import look_at


def read(model: nn.Module, x: Tensor, quantity: str) -> dict[str, float]:
    return at(Activations().look(look_of(model, x)), quantity)


@pytest.mark.parametrize("kind", MAKERS)
def test_scale_of_every_layer_in_order(kind: str) -> None:
    look = case(kind).look()
    readings = Activations().look(look)
    means, stds = at(readings, "activation_mean"), at(readings, "activation_std")
    assert list(means) == list(stds) == [layer.name for layer in look.layers]
    for layer in look.layers:
        y = layer.output.detach().numpy()
        assert means[layer.name] == pytest.approx(np.mean(y), rel=1e-12, abs=1e-15)
        assert stds[layer.name] == pytest.approx(np.std(y), rel=1e-12)


def test_a_far_mean_costs_no_digits() -> None:
    x = 1e6 + drawn(50, 3)
    found = read(nn.Sequential(nn.Identity()), x, "activation_std")
    assert found == {"0": pytest.approx(np.std(x.numpy()), rel=1e-12)}


def planted(axis: int, *shape: int) -> Tensor:
    """Zeros: unit 1 everywhere, unit 0 for one example."""
    x = drawn(*shape).abs() + 0.1
    x.movedim(axis, 0)[1] = -1.0
    x[0].movedim(axis - 1, 0)[0] = -1.0
    return x


@pytest.mark.parametrize("module", [nn.ReLU(), nn.ReLU6(), nn.Threshold(0.05, 0.0)])
def test_a_dead_unit_of_an_mlp(module: nn.Module) -> None:
    x = planted(1, 5, 4)
    model = nn.Sequential(module)
    assert read(model, x, "dead_units") == {"0": 1 / 4}
    assert read(model, x, "zero_activations") == {"0": pytest.approx(6 / 20, rel=1e-15)}


@pytest.mark.parametrize(
    ("before", "axis", "shape"),
    [
        (nn.Conv2d(3, 3, 1), 1, (5, 3, 2, 2)),
        (nn.Conv1d(3, 3, 1), 1, (5, 3, 4)),
        (nn.BatchNorm1d(3), 1, (5, 3, 4)),
        (nn.Linear(3, 3), 2, (5, 4, 3)),
        (nn.LayerNorm(3), 3, (5, 2, 2, 3)),
        (nn.Identity(), 1, (5, 3, 2, 2)),
        (nn.Identity(), 2, (5, 4, 3)),
    ],
)
def test_units_lie_where_the_layer_before_puts_them(
    before: nn.Module, axis: int, shape: tuple[int, ...]
) -> None:
    class Planted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.relu = before, nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(0 * self.before(x) + planted(axis, *shape))

    assert read(Planted(), drawn(*shape), "dead_units") == {"relu": pytest.approx(1 / 3, rel=1e-15)}


def test_one_value_per_unit_is_not_called_dead() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    assert read(model, drawn(1, 3), "dead_units") == {}
    assert list(read(model, drawn(1, 3), "zero_activations")) == ["1"]


def test_gelu_that_underflows_is_dead() -> None:
    x = torch.tensor([[-50.0, 1.0], [-60.0, 2.0]], dtype=torch.float64)
    assert read(nn.Sequential(nn.GELU()), x, "dead_units") == {"0": 0.5}


# Inputs around those where the derivative is SATURATED times its largest value.
HALF = 2 * np.arccosh(1 / np.sqrt(SATURATED))  # σ'(x)/σ'(0) = 1 / cosh²(x/2)
EDGES = {
    "sigmoid": (nn.Sigmoid(), HALF),
    "tanh": (nn.Tanh(), HALF / 2),  # tanh'(x) = 1 / cosh² x
    "softsign": (nn.Softsign(), 1 / np.sqrt(SATURATED) - 1),
    "hardtanh": (nn.Hardtanh(-2.0, 2.0), 2.0),
    "hardsigmoid": (nn.Hardsigmoid(), 3.0),
}


@pytest.mark.parametrize("name", EDGES)
def test_saturation_starts_at_the_bound(name: str) -> None:
    module, edge = EDGES[name]
    x = torch.tensor([[0.0, 0.999 * edge, 1.001 * edge], [-0.999 * edge, -1.001 * edge, 0.1]])
    found = read(nn.Sequential(module), x.double(), "saturated_activations")
    assert found == {"0": pytest.approx(2 / 6, rel=1e-15)}


@pytest.mark.parametrize("name", EDGES)
def test_saturation_is_that_of_torchs_derivative(name: str) -> None:
    module = EDGES[name][0]
    x = (4 * drawn(200, 3)).requires_grad_()
    slope = torch.autograd.grad(module(x).sum(), x)[0].numpy()
    top = torch.autograd.grad(module(zero := torch.zeros(1).requires_grad_()).sum(), zero)[0]
    expected = np.mean(slope < SATURATED * float(top))
    found = read(nn.Sequential(module), x.detach(), "saturated_activations")
    assert found == {"0": pytest.approx(expected, rel=1e-12)}
    assert 0.05 < expected < 0.95


@pytest.mark.parametrize("n", [2, 3, 1000])
def test_softmax_is_saturated_where_its_jacobian_vanishes(n: int) -> None:
    x = drawn(40, n)
    x[:, 0] += torch.linspace(0, 20, 40)
    p = np.exp(x.numpy()) / np.exp(x.numpy()).sum(1, keepdims=True)
    trace = [np.trace(np.diag(row) - np.outer(row, row)) for row in p]
    expected = np.mean(np.array(trace) < SATURATED * (1 - 1 / n))
    for model in (nn.Softmax(dim=1), nn.Softmax(dim=-1)):
        found = read(nn.Sequential(model), x, "saturated_activations")
        assert found == {"0": pytest.approx(expected, rel=1e-12)}
    assert 0.1 < expected < 0.9


def test_softmax_of_channels_and_of_one_class() -> None:
    x = drawn(3, 2, 4, 5)
    x[:, 0, 0] += 50
    found = read(nn.Sequential(nn.Softmax2d()), x, "saturated_activations")
    assert found == {"0": pytest.approx(5 / 20 + np.mean(_hot(x[:, :, 1:])) * 15 / 20, rel=1e-12)}
    assert read(nn.Sequential(nn.Softmax(dim=1)), drawn(4, 1), "saturated_activations") == {
        "0": 1.0
    }


def _hot(x: Tensor) -> np.ndarray:
    p = 1 / (1 + np.exp(-(x[:, 0] - x[:, 1]).numpy()))
    return 4 * p * (1 - p) < SATURATED


def test_other_layers_have_neither_zeros_nor_saturation() -> None:
    readings = Activations().look(case("recurrent").look())
    assert {name.quantity for name in readings} == {"activation_mean", "activation_std"}


def test_indices_are_left_out() -> None:
    model = nn.Sequential(nn.Identity(), nn.Embedding(5, 3)).double()
    look = look_of(model, torch.tensor([0, 4, 2]))
    assert list(at(Activations().look(look), "activation_mean")) == ["1"]


class Called(nn.Module):
    """Activations as functions and as modules, one after the other."""

    def __init__(self, modules: bool) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(1, 6, 3), nn.Linear(96, 8), nn.Linear(8, 2)
        self.relu, self.tanh = (nn.ReLU(), nn.Tanh()) if modules else (torch.relu, torch.tanh)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(self.tanh(self.second(self.relu(self.first(x)).flatten(1))))


def test_functions_are_seen_as_modules_are() -> None:
    made = []
    for modules in (True, False):
        torch.manual_seed(0)
        model = Called(modules).double()
        with torch.no_grad():
            model.first.bias[:3] = -9.0
            model.second.weight.mul_(30.0)
        x = torch.randn(5, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        look = look_at(model, x, x, lambda y, _: y.sum())
        made.append({(n.quantity, n.place): v for n, v in Activations().look(look).items()})
    places = {"relu": "relu after first", "tanh": "tanh after second"}
    shapes = ("dead_units", "zero_activations", "saturated_activations")
    for (quantity, place), value in made[0].items():
        if quantity in shapes:
            assert made[1][quantity, places[place]] == value
    assert made[1]["dead_units", "relu after first"] == 0.5
    assert made[1]["saturated_activations", "tanh after second"] > 0.5
