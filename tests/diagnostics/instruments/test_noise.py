"""Noise of the gradient against exact gradients of single examples in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.diagnostics.instruments.noise import Noise
from ravine.errors import SettingError
from ravine.seeds import generator
from tests.diagnostics.instruments import truth
from tests.diagnostics.instruments.undisturbed import MODELS, Attention, assert_undisturbed
from tests.diagnostics.looking import look_at

BATCH = 24


def problem() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    inputs = torch.randn(BATCH, 6, dtype=torch.float64)
    return model, inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 1).long()


def exact(gradients: Tensor) -> dict[str, float]:
    """From the gradients of single examples, [batch, n]."""
    variance = float(gradients.var(dim=0).sum())
    signal = float(gradients.mean(dim=0).square().sum()) - variance / len(gradients)
    return {
        "gradient_variance": variance,
        "true_gradient_norm_squared": signal,
        "gradient_noise_scale": variance / signal if signal > 0.0 else math.inf,
        "gradient_standard_error": math.sqrt(variance / len(gradients)),
    }


def total(output: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(output, targets, reduction="sum")


@pytest.mark.parametrize("parts", [BATCH, 100])
def test_parts_of_one_example_are_exact(parts):
    model, inputs, targets = problem()
    expected = exact(truth.each(model, inputs, targets, F.cross_entropy))
    readings = truth.whole(Noise(parts).look(look_at(model, inputs, targets, F.cross_entropy)))
    assert readings == pytest.approx(expected, rel=1e-10)


def test_recurrent_networks_too():
    torch.manual_seed(0)
    model = MODELS["lstm"]().double()
    model.lstm.dropout = 0.0
    inputs, targets = torch.randn(6, 5, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    single = [
        truth.gradient(model, inputs[i : i + 1], targets[i : i + 1], F.cross_entropy)
        for i in range(6)
    ]
    look = look_at(model, inputs, targets, F.cross_entropy)
    readings = truth.whole(Noise().look(look))
    assert readings == pytest.approx(exact(torch.stack(single)), rel=1e-10)


@pytest.mark.parametrize("parts", [2, 5, 8])
def test_fewer_parts_scatter_about_the_exact_variance(parts):
    """Over random deals the mean is the exact variance (for parts of unequal size, too: 5), and one
    measurement's standard error is at most √(2/(K-1)) of it."""
    model, inputs, targets = problem()
    expected = exact(truth.each(model, inputs, targets, F.cross_entropy))
    deals = 200
    measured = [
        truth.whole(Noise(parts).look(look_at(model, inputs, targets, F.cross_entropy, step=step)))
        for step in range(deals)
    ]
    bound = math.sqrt(2 / (parts - 1))
    for quantity, unit in [
        ("gradient_variance", expected["gradient_variance"]),
        ("true_gradient_norm_squared", expected["gradient_variance"] / BATCH),
    ]:
        values = torch.tensor([readings[quantity] for readings in measured])
        error = float(values.mean()) - expected[quantity]
        assert abs(error) <= 3 * bound * unit / math.sqrt(deals)
        assert float(values.std()) <= bound * unit
    assert len({readings["gradient_variance"] for readings in measured}) > deals / 2


def test_parts_are_the_estimators_of_the_paper():
    """Appendix A.1 with B_small = B/K, on the deal that the instrument made."""
    model, inputs, targets = problem()
    each = truth.each(model, inputs, targets, F.cross_entropy)
    readings = truth.whole(Noise(4).look(look_at(model, inputs, targets, F.cross_entropy, step=7)))
    order = torch.randperm(BATCH, generator=generator("noise", 7))
    small, big = BATCH // 4, BATCH
    means = [each[rows].mean(dim=0).square().sum() for rows in order.split(small)]
    small_square, big_square = float(sum(means)) / 4, float(each.mean(dim=0).square().sum())
    signal = (big * big_square - small * small_square) / (big - small)
    variance = (small_square - big_square) / (1 / small - 1 / big)
    assert readings["gradient_variance"] == pytest.approx(variance, rel=1e-10)
    assert readings["true_gradient_norm_squared"] == pytest.approx(signal, rel=1e-10)


def test_a_sum_of_costs_has_the_same_noise_scale():
    model, inputs, targets = problem()
    mean = truth.whole(Noise().look(look_at(model, inputs, targets, F.cross_entropy)))
    summed = truth.whole(Noise().look(look_at(model, inputs, targets, total)))
    assert summed["gradient_noise_scale"] == pytest.approx(mean["gradient_noise_scale"], rel=1e-10)
    for quantity, power in [("gradient_variance", 2), ("gradient_standard_error", 1)]:
        assert summed[quantity] == pytest.approx(mean[quantity] * BATCH**power, rel=1e-10)


def test_a_penalty_on_the_weights_has_no_noise_but_is_signal():
    model, inputs, targets = problem()
    each = truth.each(model, inputs, targets, F.cross_entropy)
    pull = truth.point(model)  # d(½|θ|²)/dθ

    def penalized(output: Tensor, targets: Tensor) -> Tensor:
        penalty = 0.5 * sum(p.square().sum() for p in model.parameters())
        return F.cross_entropy(output, targets) + penalty

    readings = truth.whole(Noise(BATCH).look(look_at(model, inputs, targets, penalized)))
    assert readings == pytest.approx(exact(each + pull), rel=1e-10)


def test_the_batch_standard_error_is_the_scatter_of_batches():
    """Gradients of 400 batches of 16 drawn afresh from one distribution: their variance against the
    mean of s². Both have relative standard errors below √(2/400) = 7%; 3 of these."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    gradients, squares = [], []
    for step in range(400):
        inputs = torch.randn(16, 4, dtype=torch.float64)
        targets = (inputs.sum(dim=1) > 0).long()
        look = look_at(model, inputs, targets, F.cross_entropy, step=step)
        squares.append(truth.whole(Noise().look(look))["gradient_standard_error"] ** 2)
        gradients.append(torch.cat([g.detach().reshape(-1) for g in look.gradients.values()]))
    scatter = float(torch.stack(gradients).var(dim=0).sum())
    assert sum(squares) / 400 == pytest.approx(scatter, rel=3 * math.sqrt(2 / 400))


def test_batch_norm_leaves_the_sum_of_the_parts_exact():
    """Each example's cost moves with all others, yet what the rows add is the whole gradient: the
    variance of parts of one example is that of the rows' own contributions."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double()
    inputs, targets = torch.randn(8, 6, dtype=torch.float64), torch.randint(3, (8,))
    costs = F.cross_entropy(model(inputs), targets, reduction="none")
    rows = [
        torch.cat(
            [g.reshape(-1) for g in torch.autograd.grad(c, model.parameters(), retain_graph=True)]
        )
        for c in costs
    ]
    readings = truth.whole(Noise(8).look(look_at(model, inputs, targets, F.cross_entropy)))
    assert readings == pytest.approx(exact(torch.stack(rows)), rel=1e-10)


def test_noise_that_hides_the_gradient_has_an_infinite_scale():
    """Gradients +1 and -1: the mean is 0, the variance 4/3."""
    x = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    model = nn.Linear(1, 1, bias=False)
    readings = truth.whole(Noise().look(look_at(model, x, x, lambda output, _: output.mean())))
    assert readings["gradient_variance"] == pytest.approx(4 / 3)
    assert readings["true_gradient_norm_squared"] == pytest.approx(-1 / 3)
    assert readings["gradient_noise_scale"] == math.inf


def test_one_example_has_no_noise_to_measure():
    model, inputs, targets = problem()
    assert Noise().look(look_at(model, inputs[:1], targets[:1], F.cross_entropy)) == {}


def test_an_output_that_does_not_count_examples_is_refused():
    model, inputs, targets = problem()
    scalar = nn.Sequential(model, nn.Flatten(0))
    with pytest.raises(RuntimeError, match=r"\[72\], does not count the examples"):
        Noise().look(look_at(scalar, inputs, targets, lambda output, _: output.mean()))
    around = look_at(model, inputs, targets, lambda output, _: model[0].weight.sum())
    with pytest.raises(RuntimeError, match="does not depend on what the model returned"):
        Noise().look(around)


def test_parts_are_checked():
    with pytest.raises(SettingError, match="1 parts came"):
        Noise(1)


@pytest.mark.parametrize("make", [*MODELS.values(), Attention])
def test_a_look_changes_nothing(make):
    assert_undisturbed(make, Noise(3))
