"""Curvature along the gradient against dense Hessians in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from ravine.diagnostics.instruments.curvature import Curvature
from ravine.diagnostics.instruments.gradient import Gradient
from tests.diagnostics.instruments import truth
from tests.diagnostics.instruments.undisturbed import (
    MODELS,
    Attention,
    assert_undisturbed,
    examples,
)
from tests.diagnostics.looking import look_at

NONE = torch.zeros(0)


@pytest.mark.parametrize("name", ["mlp", "conv", "lstm", "transformer"])
def test_curvature_along_the_gradient_is_that_of_the_dense_hessian(name):
    """<= 1e-8; without dropout, whose masks the truth could not know. Batch norm trains."""
    torch.manual_seed(0)
    model = MODELS[name]().double()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.LSTM | nn.MultiheadAttention):
            module.dropout = 0.0
    inputs, targets = examples()
    inputs = inputs.double()
    with sdpa_kernel(SDPBackend.MATH):
        g = truth.gradient(model, inputs, targets, F.cross_entropy)
        H = truth.hessian(model, inputs, targets, F.cross_entropy)
        look = look_at(model, inputs, targets, F.cross_entropy, lr=0.3)
    readings = truth.whole(Curvature().look(look))
    gHg, gg = float(g @ H @ g), float(g @ g)
    assert readings["gradient_curvature"] == pytest.approx(gHg, rel=1e-8)
    assert readings["curvature_term"] == pytest.approx(0.5 * 0.3**2 * gHg, rel=1e-8)
    assert readings["gradient_term"] == pytest.approx(0.3 * gg, rel=1e-12)
    assert readings["overshoot_ratio"] == pytest.approx(0.3 * gHg / gg, rel=1e-8)


def test_rates_that_differ_scale_the_gradient():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    inputs, targets = torch.randn(7, 5, dtype=torch.float64), torch.randint(3, (7,))
    rates = {"0.weight": 0.5, "0.bias": 0.1, "2.weight": 0.0, "2.bias": 2.0}
    g = truth.gradient(model, inputs, targets, F.cross_entropy)
    H = truth.hessian(model, inputs, targets, F.cross_entropy)
    step = torch.cat([torch.full((p.numel(),), rates[n]) for n, p in model.named_parameters()]) * g
    readings = truth.whole(
        Curvature().look(look_at(model, inputs, targets, F.cross_entropy, lr=rates))
    )
    slope, bend = float(step @ g), float(step @ H @ step)
    assert readings["gradient_curvature"] == pytest.approx(float(g @ H @ g), rel=1e-8)
    assert readings["curvature_term"] == pytest.approx(0.5 * bend, rel=1e-8)
    assert readings["gradient_term"] == pytest.approx(slope, rel=1e-7)  # rates in float32
    assert readings["overshoot_ratio"] == pytest.approx(bend / slope, rel=1e-7)


def test_on_the_quadratic_the_overshoot_line_is_at_two_over_the_steepest():
    """Along the top eigenvector the ratio is ε λmax: 2 at ε = 2/λmax, where J stays the same."""
    H, Q = truth.rotated(torch.logspace(0, 3, 8, dtype=torch.float64))
    top, theta = 1000.0, Q[:, -1]
    for factor, ratio in [(0.5, 1.0), (1.0, 2.0), (1.5, 3.0)]:
        lr = factor * 2.0 / top
        look = look_at(truth.Bowl(theta), NONE, H, truth.quadratic, lr=lr)
        readings = truth.whole(Curvature().look(look))
        assert readings["overshoot_ratio"] == pytest.approx(ratio, rel=1e-12)
        after = truth.quadratic(theta - lr * H @ theta, H)
        change = readings["curvature_term"] - readings["gradient_term"]
        assert float(after - truth.quadratic(theta, H)) == pytest.approx(change, abs=1e-10)


def test_the_terms_foretell_the_step_on_any_quadratic():
    """J is its own expansion of second order: the terms' difference is the step's to rounding."""
    H, _ = truth.rotated(torch.tensor([-3.0, -0.1, 0.5, 40.0], dtype=torch.float64))
    theta = torch.tensor([1.0, -2.0, 0.3, 0.7], dtype=torch.float64)
    readings = truth.whole(
        Curvature().look(look_at(truth.Bowl(theta), NONE, H, truth.quadratic, lr=0.07))
    )
    after = truth.quadratic(theta - 0.07 * H @ theta, H)
    change = readings["curvature_term"] - readings["gradient_term"]
    assert change == pytest.approx(float(after - truth.quadratic(theta, H)), rel=1e-12)


def test_negative_curvature_makes_the_ratio_negative():
    H = torch.diag(torch.tensor([-2.0, 1.0], dtype=torch.float64))
    theta = torch.tensor([1.0, 0.0], dtype=torch.float64)
    look = look_at(truth.Bowl(theta), NONE, H, truth.quadratic, lr=0.1)
    readings = truth.whole(Curvature().look(look))
    assert readings["overshoot_ratio"] == pytest.approx(-0.2, rel=1e-14)
    assert readings["gradient_curvature"] == pytest.approx(-8.0, rel=1e-14)


def test_a_cost_without_curvature():
    """J = Σθ: a gradient that no parameter moves."""
    look = look_at(truth.Bowl(torch.ones(3)), NONE, NONE, lambda theta, _: theta.sum(), lr=0.5)
    readings = truth.whole(Curvature().look(look))
    expected = {"gradient_curvature": 0.0, "curvature_term": 0.0, "gradient_term": 1.5}
    assert readings == {**expected, "overshoot_ratio": 0.0}


def test_no_ratio_where_the_gradient_is_0():
    H = torch.eye(2, dtype=torch.float64)
    look = look_at(truth.Bowl(torch.zeros(2, dtype=torch.float64)), NONE, H, truth.quadratic)
    assert "overshoot_ratio" not in truth.whole(Curvature().look(look))


def test_a_parameter_that_the_cost_does_not_see():
    """As if it were not there."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2)).double()
    inputs, targets = torch.randn(5, 3, dtype=torch.float64), torch.randint(2, (5,))
    alone = Curvature().look(look_at(model, inputs, targets, F.cross_entropy))
    model[0].register_parameter("unused", nn.Parameter(torch.ones(4, dtype=torch.float64)))
    assert Curvature().look(look_at(model, inputs, targets, F.cross_entropy)) == alone


def test_sparse_gradients_of_embeddings():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 3, sparse=True), nn.Flatten(), nn.Linear(6, 2)).double()
    words, targets = torch.tensor([[0, 3], [3, 8]]), torch.tensor([0, 1])
    sparse = truth.whole(Curvature().look(look_at(model, words, targets, F.cross_entropy)))
    model[0].sparse = False
    dense = truth.whole(Curvature().look(look_at(model, words, targets, F.cross_entropy)))
    assert sparse == pytest.approx(dense, rel=1e-12)


def test_fused_attention_says_what_to_do_and_leaves_the_step_possible():
    torch.manual_seed(0)
    model = Attention()
    inputs, targets = examples()
    look = look_at(model, inputs, targets, F.cross_entropy)
    with pytest.raises(RuntimeError, match=r"no second derivative.*SDPBackend\.MATH") as caught:
        Curvature().look(look)
    assert "\n" not in str(caught.value)
    assert truth.whole(Gradient().look(look))["gradient_norm"] > 0.0
    look.loss.backward()
    watched = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    F.cross_entropy(model(inputs), targets).backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(watched, model.parameters(), strict=True))


def test_too_little_memory_is_called_that(monkeypatch):
    look = look_at(truth.Bowl(torch.ones(2)), NONE, torch.eye(2), truth.quadratic)
    assert look.gradients

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr(torch.autograd, "grad", full)
    with pytest.raises(torch.OutOfMemoryError, match=r"^tried to allocate 2 GiB$"):
        Curvature().look(look)


def test_the_math_kernel_must_be_chosen_around_the_forward_pass():
    torch.manual_seed(0)
    model = Attention().double()
    inputs, targets = examples()
    inputs = inputs.double()
    with sdpa_kernel(SDPBackend.MATH):
        look = look_at(model, inputs, targets, F.cross_entropy)
        H = truth.hessian(model, inputs, targets, F.cross_entropy)
        g = truth.gradient(model, inputs, targets, F.cross_entropy)
    measured = truth.whole(Curvature().look(look))["gradient_curvature"]
    assert measured == pytest.approx(float(g @ H @ g), rel=1e-8)
    late = look_at(model, inputs, targets, F.cross_entropy)
    with sdpa_kernel(SDPBackend.MATH), pytest.raises(RuntimeError, match="no second derivative"):
        Curvature().look(late)


@pytest.mark.parametrize("make", MODELS.values())
def test_a_look_changes_nothing(make):
    assert_undisturbed(make, Curvature())
