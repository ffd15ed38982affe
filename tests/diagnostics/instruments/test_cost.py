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
    assert found["loss_of_zeros"] == pytest.approx(math.log(3), rel=1e-12)
    assert found["least_loss"] == 0


@pytest.mark.parametrize(
    "cost",
    [
        F.mse_loss,
        F.smooth_l1_loss,
        lambda o, t: F.huber_loss(o, t, delta=0.5),
        lambda o, t: (o - t).square().mean(),
        lambda o, t: (o - t).abs().mean(),
        lambda o, t: F.mse_loss(o, t, reduction="sum"),
        F.binary_cross_entropy_with_logits,
        lambda o, t: F.binary_cross_entropy_with_logits(
            o, t, pos_weight=torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
        ),
    ],
)
def test_losses_of_zeros_and_of_the_targets_themselves_are_the_cost_s(cost):
    targets = torch.rand(12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = read(cost, targets)
    zeros = float(cost(torch.zeros_like(targets), targets))
    assert found["loss_of_zeros"] == pytest.approx(zeros, rel=1e-12)
    if found["cost_is_likelihood_of_logits"]:
        logits = targets.logit().requires_grad_()
        best = torch.optim.LBFGS([logits], max_iter=500, line_search_fn="strong_wolfe")
        best.param_groups[0].update(tolerance_grad=1e-12, tolerance_change=1e-16)

        def closure() -> torch.Tensor:
            best.zero_grad()
            loss = cost(logits, targets)
            loss.backward()
            return loss

        best.step(closure)
        assert found["least_loss"] == pytest.approx(cost(logits, targets).item(), rel=1e-9)
    else:
        assert found["least_loss"] == 0


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


def squares(o, t):
    return (o - t).square().mean()


def log_of_class(o, t):
    return -torch.log_softmax(o, 1)[range(len(t)), t].mean()


@pytest.mark.parametrize(
    "cost",
    [squares, lambda o, t: ((t - o) ** 2).mean()],
)
def test_squares_by_hand_are_those_of_torch(cost):
    targets = torch.randn(12, 3, dtype=torch.float64)
    ours, theirs = read(cost, targets), read(F.mse_loss, targets)
    assert ours.keys() == theirs.keys()
    for quantity, value in theirs.items():
        assert ours[quantity] == pytest.approx(value, rel=1e-12), quantity


@pytest.mark.parametrize("shape", [(12,), (12, 1)])
def test_a_broadcast_by_hand_is_seen(shape):
    targets = torch.randn(shape, dtype=torch.float64)
    assert read(squares, targets, width=1)["broadcast_targets"] == (shape == (12,))
    assert read(lambda o, t: (o.squeeze(1) - t).square().mean(), targets, width=1)[
        "broadcast_targets"
    ] == (shape == (12, 1))


def test_one_target_for_all_outputs_is_a_broadcast():
    assert read(squares, CLASSES.double()[:, None])["broadcast_targets"] == 1
    assert read(squares, F.one_hot(CLASSES).double())["broadcast_targets"] == 0


def test_absolute_errors_against_the_median():
    targets = torch.randn(12, 3, dtype=torch.float64)
    found = read(lambda o, t: (o - t).abs().mean(), targets)
    best = float((targets - targets.median(0).values).abs().mean())
    assert found["loss_of_a_constant"] == pytest.approx(best, rel=1e-12)
    assert found["cost_is_robust"] == found["cost_is_squared_error"] == 1


@pytest.mark.parametrize(
    "cost",
    [
        log_of_class,
        lambda o, t: -torch.log_softmax(o, 1).gather(1, t[:, None]).mean(),
        lambda o, t: -(F.one_hot(t, 3) * torch.log_softmax(o, 1)).sum(1).mean(),
    ],
)
def test_cross_entropy_by_hand_is_that_of_torch(cost):
    ours, theirs = read(cost, CLASSES), read(F.cross_entropy, CLASSES)
    assert ours.keys() == theirs.keys()
    for quantity, value in theirs.items():
        assert ours[quantity] == pytest.approx(value, rel=1e-12), quantity


def test_sums_and_shares_of_the_loss_scale_the_constants():
    mean = read(F.cross_entropy, CLASSES)["loss_of_a_constant"]
    total = read(lambda o, t: F.cross_entropy(o, t, reduction="sum"), CLASSES)
    assert total["loss_of_a_constant"] == pytest.approx(12 * mean, rel=1e-12)
    quarter = read(lambda o, t: F.cross_entropy(o, t) / 4, CLASSES)
    assert quarter["loss_of_a_constant"] == pytest.approx(mean / 4, rel=1e-12)


def test_ignored_targets_and_weights_of_classes():
    ignored = torch.where(CLASSES == 2, -100, CLASSES)
    found = read(F.cross_entropy, ignored)
    p = 6 / 9
    entropy = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    assert found["target_classes"] == 2
    assert found["loss_of_a_constant"] == pytest.approx(entropy, rel=1e-12)
    weight = torch.tensor([1.0, 2.0, 2.0], dtype=torch.float64)
    even = read(lambda o, t: F.cross_entropy(o, t, weight), CLASSES)  # 6 : 6 : 6
    assert even["loss_of_a_constant"] == pytest.approx(math.log(3), rel=1e-12)


def test_where_targets_lie():
    targets = torch.tensor([-2.0, -0.5, 0.5, 2.0] * 9, dtype=torch.float64).reshape(12, 3)
    found = read(F.mse_loss, targets)
    assert found["targets_below_0"] == 0.5
    assert found["targets_above_1"] == found["targets_below_-1"] == 0.25
