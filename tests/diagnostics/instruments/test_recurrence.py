"""Gates and derivatives inside recurrent layers, against torch's own and closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ravine.diagnostics.instruments.recurrence import Recurrence
from tests.diagnostics.looking import look_at

CELLS = [nn.RNN, nn.GRU, nn.LSTM]


class Last(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)[0]
        return y[:, -1] if self.layer.batch_first else y[-1]


def read(layer: nn.Module, x: Tensor, weights: Tensor) -> dict[str, float]:
    model = Last(layer).double()
    look = look_at(model, x, weights, lambda y, w: (y * w).sum())
    return {name.quantity: value for name, value in Recurrence().look(look).items()}


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("first", [True, False])
def test_the_gain_is_that_of_running_on_from_the_first_state(kind, first) -> None:
    """torch runs the layer over the steps after the first one, from a state that wants a gradient."""
    torch.manual_seed(0)
    layer = kind(3, 4, batch_first=first).double()
    x, v = drawn(5, 7, 3), drawn(5, 4)
    found = read(layer, x if first else x.transpose(0, 1), v)
    moved = x if first else x.transpose(0, 1)
    head, tail = (moved[:, :1], moved[:, 1:]) if first else (moved[:1], moved[1:])
    _, state = layer(head)
    state = tuple(s.detach().requires_grad_() for s in (state if kind is nn.LSTM else (state,)))
    _, last = layer(tail, state if kind is nn.LSTM else state[0])
    ends = last if kind is nn.LSTM else (last,)
    loss = (ends[0][0] * v).sum()
    size = torch.cat([g.flatten() for g in torch.autograd.grad(loss, state)]).norm()
    expected = float(size / v.norm())
    assert found["through_time"] == pytest.approx(expected, rel=1e-10)
    assert found["time_steps"] == 6


def test_a_linear_recurrence_grows_by_its_radius() -> None:
    layer = nn.RNN(2, 4, nonlinearity="relu", batch_first=True).double()
    with torch.no_grad():
        layer.weight_hh_l0.copy_(1.5 * torch.eye(4))
        layer.bias_ih_l0.fill_(10.0)
    assert read(layer, 0.1 * drawn(3, 9, 2), drawn(3, 4))["through_time"] == pytest.approx(
        1.5**8, rel=1e-12
    )


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_gates_saturate_by_their_biases(kind, gates) -> None:
    """One gate's biases are moved far from 0: one in so many gates is stuck."""
    torch.manual_seed(0)
    layer = kind(3, 4, batch_first=True).double()
    x, v = drawn(5, 6, 3), drawn(5, 4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.1)
    assert read(layer, x, v)["saturated_gates"] == 0
    with torch.no_grad():
        layer.bias_ih_l0[:4] = 30.0
    assert read(layer, x, v)["saturated_gates"] == 1 / gates


def test_without_recurrent_layers_there_is_nothing() -> None:
    look = look_at(nn.Linear(3, 1), torch.randn(4, 3), torch.randn(4), lambda y, t: y.sum())
    assert Recurrence().look(look) == {}
