"""Units with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ravine.diagnostics.instruments.symmetry import Symmetry
from tests.diagnostics.instruments.models import MAKERS, at, case, drawn, look_of
from tests.diagnostics.looking import look_at


def read(layer: nn.Module, quantity: str = "equal_weights") -> float:
    """Of one layer that is not run."""
    x = drawn(3, 2)
    look = look_at(_Beside(layer).double(), x, x, lambda y, _: y.square().sum())
    return at(Symmetry().look(look), quantity)["layer.weight"]


class _Beside(nn.Module):
    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer, self.used = layer, nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def test_two_equal_rows() -> None:
    W = drawn(5, 7)
    W[3] = W[0]
    assert read(linear(W)) == pytest.approx(2 / 5, rel=1e-7)


def test_two_pairs_and_a_triple() -> None:
    W = drawn(10, 4)[torch.tensor([0, 1, 2, 0, 1, 3, 4, 4, 4, 5])]
    assert read(linear(W)) == pytest.approx(7 / 10, rel=1e-7)


@pytest.mark.parametrize("value", [0.0, 0.3, -2.0])
def test_a_constant_start_is_all_twins(value: float) -> None:
    assert read(linear(torch.full((6, 3), value))) == 1.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(64, 1), (300, 2), (128, 784)])
def test_a_random_start_has_none(shape: tuple[int, int], seed: int) -> None:
    assert read(linear(drawn(*shape, seed=seed))) == 0.0


def test_rows_that_share_their_numbers_are_no_twins() -> None:
    """One-hot rows, permutations of one row, opposite rows, shifts."""
    assert read(linear(torch.eye(40))) == 0.0
    row = drawn(6)
    assert read(linear(torch.stack([row.roll(k) for k in range(6)]))) == 0.0
    assert read(linear(torch.stack([row, -row, 2 * row, 0 * row]))) == 0.0


def test_up_to_rounding_and_not_beyond() -> None:
    eps = torch.finfo(torch.float64).eps
    for factor, share in [(50 * eps, 1.0), (200 * eps, 0.0)]:
        W = torch.ones(2, 3, dtype=torch.float64)
        W[1, 1] += factor
        assert read(linear(W)) == share


def test_bias_tells_units_apart() -> None:
    W = torch.ones(4, 3, dtype=torch.float64)
    layer = linear(W, torch.tensor([1.0, 2.0, 1.0, 3.0]))
    assert read(layer) == 1.0
    assert read(layer, "equal_units") == 0.5
    assert read(linear(W), "equal_units") == 1.0


def test_bias_is_compared_within_each_set_of_equal_weights() -> None:
    """Twins by bias that are not neighbours by weights."""
    W = drawn(3, 4)[torch.tensor([0, 0, 1, 1, 0, 0, 2])]
    layer = linear(W, torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0, 3.0, 1.0]))
    assert read(layer) == pytest.approx(6 / 7, rel=1e-7)
    assert read(layer, "equal_units") == pytest.approx(4 / 7, rel=1e-7)


def test_filters_of_convolutions() -> None:
    layer = nn.Conv2d(2, 4, 3).double()
    with torch.no_grad():
        layer.weight[2] = layer.weight[1]
    assert read(layer) == 0.5


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
def test_units_of_an_embedding_are_its_columns(kind) -> None:
    layer = kind(7, 4)
    assert read(layer) == 0
    with torch.no_grad():
        layer.weight[:, 2] = layer.weight[:, 0]
    assert read(layer) == 0.5


def test_groups_see_different_channels() -> None:
    """Equal filters of different groups are no twins; those of one group are."""
    layer = nn.Conv1d(4, 4, 3, groups=2).double()
    with torch.no_grad():
        layer.weight[2] = layer.weight[0]
    assert read(layer) == 0.0
    with torch.no_grad():
        layer.weight[3] = layer.weight[2]
    assert read(layer) == 0.5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_other_precisions(dtype: torch.dtype) -> None:
    W = drawn(6, 50).to(dtype)
    W[5] = W[4]
    model = nn.Sequential(nn.Linear(50, 6, bias=False)).to(dtype)
    with torch.no_grad():
        model[0].weight.copy_(W)
    look = look_at(model, drawn(2, 50).to(dtype), drawn(2), lambda y, _: y.square().sum())
    assert at(Symmetry().look(look), "equal_weights") == {"0.weight": pytest.approx(1 / 3)}


@pytest.mark.parametrize("kind", MAKERS)
def test_places_are_the_weights_of_linear_layers_and_convolutions(kind: str) -> None:
    look = case(kind).look()
    weights = {
        **dict.fromkeys(("Linear", "Conv2d", "NonDynamicallyQuantizableLinear"), "weight"),
        "LSTM": "weight_ih_l0",
    }
    expected = [
        f"{name}.{weights[type(module).__name__]}"
        for name, module in look.model.named_modules()
        if type(module).__name__ in weights
    ]
    found = at(Symmetry().look(look), "equal_weights")
    assert list(found) == expected
    assert set(found.values()) == {0.0}


def test_weights_that_are_computed_are_left_alone() -> None:
    """A spectral norm would step its power iteration when the weight is read."""
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))
    look = look_of(nn.Sequential(layer), drawn(4, 3))
    before = {n: b.clone() for n, b in look.model.named_buffers()}
    assert Symmetry().look(look) == {}
    assert before
    assert all(torch.equal(b, before[n]) for n, b in look.model.named_buffers())


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_units_of_a_recurrent_layer_are_twins_in_every_gate(kind) -> None:
    """Units 1 and 3 of 4 are made equal in all gates, then told apart in the last one."""
    torch.manual_seed(0)
    model = nn.Sequential(kind(3, 4, batch_first=True)).double()
    gates = model[0].weight_hh_l0.shape[0] // 4
    weights = (model[0].weight_ih_l0, model[0].weight_hh_l0)
    look = look_at(model, drawn(2, 5, 3), drawn(2), lambda y, t: y.sum())
    with torch.no_grad():
        for gate in range(gates):
            for weight in weights:
                weight[4 * gate + 3] = weight[4 * gate + 1]
    assert at(Symmetry().look(look), "equal_weights") == {"0.weight_ih_l0": 0.5}
    with torch.no_grad():
        weights[1][4 * gates - 1, 0] += 1
    assert at(Symmetry().look(look), "equal_weights") == {"0.weight_ih_l0": 0.0}
