"""Derivatives with respect to the outputs of layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.diagnostics.instruments.backpropagated import Backpropagated
from tests.diagnostics.instruments.models import MAKERS, at, case, drawn, look_of
from tests.diagnostics.looking import look_at


def test_a_chain_by_hand() -> None:
    X, W, V = drawn(6, 3), drawn(4, 3, seed=1), drawn(2, 4, seed=2)
    T = drawn(6, 2, seed=3)
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False))
    model.double()
    with torch.no_grad():
        model[0].weight.copy_(W)
        model[2].weight.copy_(V)
    look = look_at(model, X, T, nn.functional.mse_loss)
    x, w, v, t = (a.numpy() for a in (X, W, V, T))
    h = np.tanh(x @ w.T)
    last = 2 * (h @ v.T - t) / t.size
    second = last @ v
    first = second * (1 - h**2)
    readings = Backpropagated().look(look)
    stds, sizes = at(readings, "backpropagated_std"), at(readings, "backpropagated_rms")
    assert list(stds) == list(sizes) == ["0", "1", "2"]
    for name, g in zip("012", (first, second, last), strict=True):
        assert stds[name] == pytest.approx(np.std(g), rel=1e-12)
        assert sizes[name] == pytest.approx(np.sqrt(np.mean(g**2)), rel=1e-12)


@pytest.mark.parametrize("kind", MAKERS)
def test_all_layers_by_one_backward_pass_with_torchs_own(kind: str) -> None:
    look = case(kind).look()
    stds = at(Backpropagated().look(look), "backpropagated_std")
    for layer in look.layers:
        layer.output.retain_grad()
    look.loss.backward()
    assert list(stds) == [layer.name for layer in look.layers]
    for layer in look.layers:
        assert layer.output.grad is not None
        assert stds[layer.name] == pytest.approx(np.std(layer.output.grad.numpy()), rel=1e-12)


def test_a_loss_that_is_linear_has_a_size_but_no_deviation() -> None:
    look = look_at(nn.Sequential(nn.Linear(2, 1)).double(), drawn(4, 2), drawn(4), _mean)
    readings = Backpropagated().look(look)
    assert at(readings, "backpropagated_std") == {"0": 0.0}
    assert at(readings, "backpropagated_rms") == {"0": 0.25}


def _mean(y: Tensor, _: Tensor) -> Tensor:
    return y.mean()


def test_vanishing_is_seen_over_depth() -> None:
    """Each layer scales by 0.01 exactly."""
    layers = [nn.Linear(3, 3, bias=False) for _ in range(5)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(0.01 * torch.eye(3))
    stds = list(
        at(
            Backpropagated().look(look_of(nn.Sequential(*layers), 1e6 * drawn(8, 3))),
            "backpropagated_std",
        ).values()
    )
    assert np.array(stds[:-1]) / np.array(stds[1:]) == pytest.approx(4 * [0.01], rel=1e-6)


def test_what_the_loss_does_not_depend_on_is_left_out() -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)
            self.fixed = nn.Linear(2, 2).requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            self.unused(x)
            return self.used(self.fixed(x))

    look = look_of(Forked(), drawn(3, 2))
    assert list(at(Backpropagated().look(look), "backpropagated_std")) == ["used"]
