"""Norms and angles of the gradient against torch.func in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ravine.diagnostics.instruments.gradient import Gradient
from tests.diagnostics.instruments import truth
from tests.diagnostics.instruments.undisturbed import MODELS, Attention, assert_undisturbed
from tests.diagnostics.looking import look_at


def problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    return model, torch.randn(7, 5, dtype=torch.float64), torch.randint(3, (7,))


def test_norms_are_those_of_the_true_gradient():
    model, inputs, targets = problem()
    g = truth.gradient(model, inputs, targets, F.cross_entropy)
    readings = Gradient().look(look_at(model, inputs, targets, F.cross_entropy))
    whole = truth.whole(readings)
    assert whole["gradient_norm_squared"] == pytest.approx(float(g @ g), rel=1e-12)
    assert whole["gradient_norm"] == pytest.approx(float(g.norm()), rel=1e-12)
    sizes = [p.numel() for p in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    expected = dict(zip(names, [float(part.norm()) for part in g.split(sizes)], strict=True))
    assert truth.at(readings, "gradient_norm") == pytest.approx(expected, rel=1e-12)


def test_cosine_is_with_the_gradient_of_the_look_before():
    model, inputs, targets = problem()
    instrument = Gradient()
    first = instrument.look(look_at(model, inputs, targets, F.cross_entropy, step=3))
    assert "gradient_cosine" not in truth.whole(first)
    before = truth.gradient(model, inputs, targets, F.cross_entropy)
    with torch.no_grad():
        for param in model.parameters():
            param.add_(0.3 * torch.randn_like(param))
    g = truth.gradient(model, inputs, targets, F.cross_entropy)
    second = truth.whole(instrument.look(look_at(model, inputs, targets, F.cross_entropy, step=8)))
    expected = float(g @ before / (g.norm() * before.norm()))
    assert abs(expected) < 0.99
    assert second["gradient_cosine"] == pytest.approx(expected, rel=1e-12)
    assert second["gradient_cosine_lag"] == 5.0


def test_a_step_across_a_valley_turns_the_gradient_round():
    H = torch.diag(torch.tensor([2.0, 1.0], dtype=torch.float64))
    model = truth.Bowl(torch.tensor([1.0, 0.0], dtype=torch.float64))
    instrument, none = Gradient(), torch.zeros(0)
    instrument.look(look_at(model, none, H, truth.quadratic, step=0))
    model.theta.data.neg_()
    readings = truth.whole(instrument.look(look_at(model, none, H, truth.quadratic, step=1)))
    assert readings["gradient_cosine"] == pytest.approx(-1.0, abs=1e-15)


def test_no_angle_with_a_gradient_of_0():
    H = torch.eye(2, dtype=torch.float64)
    model = truth.Bowl(torch.zeros(2, dtype=torch.float64))
    instrument, none = Gradient(), torch.zeros(0)
    for step in range(2):
        readings = truth.whole(instrument.look(look_at(model, none, H, truth.quadratic, step=step)))
        assert readings == {"gradient_norm_squared": 0.0, "gradient_norm": 0.0}


class Linear(torch.autograd.Function):
    """Σ xθ, whose backward pass hands out x itself, as functions written by users may."""

    @staticmethod
    def forward(ctx, theta, x):
        ctx.x = x
        return theta @ x

    @staticmethod
    def backward(ctx, upstream):
        return ctx.x, None


def test_the_remembered_gradient_is_a_copy():
    """A loader that writes into x must not change what is remembered."""
    x = torch.tensor([1.0, 0.0])
    model = truth.Bowl(torch.ones(2))
    instrument = Gradient()
    instrument.look(look_at(model, x, x, Linear.apply))
    x.copy_(torch.tensor([0.0, 1.0]))
    readings = truth.whole(instrument.look(look_at(model, x, x, Linear.apply)))
    assert readings["gradient_cosine"] == 0.0


def test_half_precision_is_summed_in_float32():
    """10⁴ squares of 1: bfloat16, with 8 bits, would stop at 256."""
    model = truth.Bowl(torch.zeros(10_000, dtype=torch.bfloat16))
    look = look_at(model, torch.zeros(0), torch.zeros(0), lambda theta, _: theta.sum())
    assert truth.whole(Gradient().look(look))["gradient_norm_squared"] == 10_000.0


def test_sparse_gradients_of_embeddings():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 3, sparse=True), nn.Flatten(), nn.Linear(6, 2))
    words, targets = torch.tensor([[0, 3], [3, 8]]), torch.tensor([0, 1])
    sparse = Gradient().look(look_at(model, words, targets, F.cross_entropy))
    model[0].sparse = False
    assert sparse == Gradient().look(look_at(model, words, targets, F.cross_entropy))


@pytest.mark.parametrize("make", [*MODELS.values(), Attention])
def test_a_look_changes_nothing(make):
    assert_undisturbed(make, Gradient())
