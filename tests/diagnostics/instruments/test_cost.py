"""What the loss's graph says of cost and targets, by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ravine.diagnostics.instrument import Name
from ravine.diagnostics.instruments.cost import Cost
from tests.diagnostics.looking import look_at

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CLASSES = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
SHARES = (0.5, 0.25, 0.25)


def read(cost, targets, *after: nn.Module, width: int = 3) -> dict[str, float]:
    model = nn.Sequential(nn.Linear(4, width), *after).double()
    return {n.quantity: v for n, v in Cost().look(look_at(model, X, targets, cost)).items()}


def test_cross_entropy_of_classes():
    found = read(F.cross_entropy, CLASSES)
    assert found["cost_is_likelihood_of_classes"] == 1
    assert found["cost_is_squared_error"] == 0
    assert found["log_softmax_before_cost"] == 1
    assert found["target_classes"] == 3
    entropy = -sum(p * math.log(p) for p in SHARES)
    assert found["loss_of_a_constant"] == pytest.approx(entropy, rel=1e-12)


def test_it_is_found_behind_label_smoothing():
    found = read(lambda o, t: F.cross_entropy(o, t, label_smoothing=0.1), CLASSES)
    assert found["log_softmax_before_cost"] == 1


@pytest.mark.parametrize(("after", "seen"), [((), 0), ((nn.LogSoftmax(-1),), 1)])
def test_nll_without_a_log_softmax_is_seen(after, seen):
    assert read(F.nll_loss, CLASSES, *after)["log_softmax_before_cost"] == seen


def test_squared_error_against_the_variance_of_the_targets():
    targets = torch.randn(12, 3, dtype=torch.float64)
    found = read(F.mse_loss, targets)
    best = float(((targets - targets.mean(0)) ** 2).mean())
    assert found["loss_of_a_constant"] == pytest.approx(best, rel=1e-12)
    assert found["broadcast_targets"] == 0
    assert "target_classes" not in found


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_broadcasting_is_seen():
    found = read(F.mse_loss, torch.randn(12, dtype=torch.float64), width=1)
    assert found["broadcast_targets"] == 1


@pytest.mark.parametrize(
    ("cost", "after", "kind"),
    [
        (F.binary_cross_entropy, (nn.Sigmoid(),), "cost_is_likelihood_of_shares"),
        (F.binary_cross_entropy_with_logits, (), "cost_is_likelihood_of_logits"),
    ],
)
def test_binary_cross_entropy(cost, after, kind):
    targets = (CLASSES == 0).double()[:, None].repeat(1, 2)
    targets[:, 1] = (CLASSES == 1).double()
    found = read(cost, targets, *after, width=2)
    assert found[kind] == 1
    entropies = [-(p * math.log(p) + (1 - p) * math.log(1 - p)) for p in (0.5, 0.25)]
    assert found["loss_of_a_constant"] == pytest.approx(sum(entropies) / 2, rel=1e-12)


def test_a_cost_of_ones_own_says_nothing():
    model = nn.Linear(4, 3).double()
    look = look_at(model, X, CLASSES, lambda o, t: (o**4).mean())
    assert Cost().look(look) == {}
    assert Name("loss_of_a_constant") not in Cost().look(look)
