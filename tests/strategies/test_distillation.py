"""The modified objective against closed forms, and students on the digits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import rel_entr, softmax
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ravine import metrics
from ravine.comparison.records import Interval
from ravine.comparison.statistics import interval
from ravine.errors import RecipeError, SettingError
from ravine.recipes import Measure
from ravine.recipes.digits import digits, mlp
from ravine.strategies import Ensemble, Fitted, distill, fit, soft_cost, soft_targets
from ravine.training.population import PopulationLane
from tests.problems import digits_recipe
from tests.strategies.models import LANES, assert_same_state, linear


def scores(seed: int, *size: int) -> Tensor:
    drawn = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return 3 * drawn


Z, V = scores(0, 6, 4), scores(1, 6, 4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 20.0])
def test_the_soft_cost_and_its_gradient(temperature):
    z = Z.clone().requires_grad_()
    cost = soft_cost(z, soft_targets(V, temperature), temperature)
    p, q = (softmax(a.numpy() / temperature, axis=1) for a in (V, Z))
    assert abs(cost.item() - temperature**2 * rel_entr(p, q).sum(1).mean()) <= 1e-12
    (gradient,) = torch.autograd.grad(cost, z)
    assert np.max(np.abs(gradient.numpy() - temperature * (q - p) / len(z))) <= 1e-13


def test_at_high_temperature_it_matches_the_scores():
    """Section 2.1 of the paper: T² KL → Σ (z - v)²/2N for scores of mean 0, the rest is O(1/T)."""
    z, v = (a - a.mean(1, keepdim=True) for a in (Z, V))
    limit = ((z - v).square().sum(1) / (2 * z.shape[1])).mean()
    temperatures = np.array([1e2, 1e3, 1e4])
    off = [float((soft_cost(Z, soft_targets(V, t), t) - limit).abs()) for t in temperatures]
    slope = np.polyfit(np.log(temperatures), np.log(off), 1)[0]
    assert slope == pytest.approx(-1, abs=0.01)
    assert off[0] <= 0.1 * limit


def test_maps_of_scores_are_averaged_over_positions():
    z, v = scores(2, 2, 4, 3), scores(3, 2, 4, 3)
    rows = [a.movedim(1, -1).reshape(6, 4) for a in (z, soft_targets(v, 2.0))]
    assert torch.allclose(soft_cost(z, soft_targets(v, 2.0), 2.0), soft_cost(*rows, 2.0))


class OneHot(nn.Module):
    """A teacher that knows the labels: scores 0 and -∞."""

    def forward(self, x: Tensor) -> Tensor:
        inputs, labels = (torch.cat(parts) for parts in zip(*digits(), strict=True))
        nearest = torch.cdist(x.double(), inputs.double()).argmin(1)
        return F.one_hot(labels[nearest], 10).double().log()


@pytest.mark.parametrize("lane", LANES.values(), ids=LANES)
@pytest.mark.parametrize(("temperature", "hard", "faster"), [(1.0, 0.0, 1.0), (1.0, 1.0, 2.0)])
def test_a_teacher_that_knows_the_labels_is_plain_training(lane, temperature, hard, faster):
    """With T = 1 the objective is (1 + α) times the cross-entropy."""
    recipe = digits_recipe(dtype=torch.float64)
    plain = fit(recipe, "sgd", 0.1 * faster, (0, 1), lane)
    taught = fit(distill(recipe, OneHot(), temperature, hard), "sgd", 0.1, (0, 1), lane)
    for one, other in zip(plain, taught, strict=True):
        assert_same_state(one.model, other.model, 1e-12)
        assert other.run.curve[-1].validation_metric == one.run.curve[-1].validation_metric


@pytest.mark.parametrize("name", ["sgd", "adam", "lamb"])
def test_students_are_those_of_a_loop_in_plain_pytorch_in_both_lanes(name):
    recipe = digits_recipe(dtype=torch.float64)
    teacher = linear(0, 64, 10)
    taught = distill(recipe, teacher, 3.0, 0.2)
    alone, together = (fit(taught, name, 0.01, (0, 1), lane) for lane in LANES.values())
    for one, other in zip(alone, together, strict=True):
        assert_same_state(one.model, other.model, 1e-10)
    inputs, labels = recipe.validation
    z, v = alone[0].model(inputs), teacher(inputs)
    kl = F.kl_div(
        (z / 3).log_softmax(1), (v / 3).log_softmax(1), log_target=True, reduction="batchmean"
    )
    cost = 9 * kl + 0.2 * F.cross_entropy(z, labels)
    assert alone[0].run.curve[-1].validation_cost == pytest.approx(cost.item(), rel=1e-12)


def test_the_recipe_keeps_its_metric_and_the_teacher_its_state():
    teacher = nn.Sequential(nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 10))
    state = {name: value.clone() for name, value in teacher.state_dict().items()}
    recipe = digits_recipe(batch_size=100, test=None)
    random = torch.get_rng_state()
    taught = distill(recipe, teacher)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in teacher.state_dict().items())
    assert teacher.training
    assert taught.metric_name == "error_rate"
    assert taught.test is None
    targets = taught.train[1]
    assert torch.equal(targets[:, 0].long(), recipe.train[1])
    expected = (teacher.eval()(recipe.train[0]) / 2).softmax(1)
    assert (targets[:, 1:] - expected).abs().max() <= 1e-6
    output = torch.eye(10)[recipe.train[1]]
    assert taught.metric(output, targets) == 0
    without = distill(replace(recipe, metric=None), teacher)
    assert without.metric_name == "cross_entropy"
    assert without.metric(output, targets) == F.cross_entropy(output, recipe.train[1])


def test_what_cannot_be_distilled_is_refused():
    recipe, teacher = digits_recipe(), nn.Linear(64, 10)
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        for ask in (
            lambda t: distill(recipe, teacher, temperature=t),
            lambda t: soft_targets(V, t),
            lambda t: soft_cost(Z, V, t),
        ):
            with pytest.raises(SettingError, match=r"temperature=.*expected a positive number"):
                ask(temperature)
    for hard in (-0.1, float("nan")):
        with pytest.raises(SettingError, match="hard="):
            distill(recipe, teacher, hard=hard)
    with pytest.raises(ValueError, match="same shape"):
        soft_cost(Z, V[:, :3], 1.0)
    with pytest.raises(RecipeError, match=r"targets are torch\.float32"):
        distill(replace(recipe, train=(recipe.train[0], recipe.train[1].float())), teacher)
    with pytest.raises(RecipeError, match=r"gives \[1078, 1\] for training targets \[1078\]"):
        distill(recipe, nn.Linear(64, 1))
    with pytest.raises(RecipeError, match="read while training"):
        distill(replace(recipe, train=TensorDataset(*recipe.train), workers=0), teacher)
    broken = nn.Linear(64, 10)
    nn.init.constant_(broken.bias, float("nan"))
    with pytest.raises(RecipeError, match="hold NaN"):
        distill(recipe, broken)


LANE = partial(PopulationLane, capacity=20, compiled=False)
FRESH = range(20, 40)
"""Seeds that the teacher has no member of."""


def gains(students: list[Fitted], plain: list[Fitted]) -> tuple[Interval, Interval]:
    """Test cross-entropy and error rate of students less those of plain training, seed by seed."""
    assert [m.run.trial.seed for m in students] == [m.run.trial.seed for m in plain]
    inputs, labels = digits()[2]

    def judged(members: list[Fitted], measure: Measure) -> list[float]:
        with torch.no_grad():
            return [float(measure(member.model(inputs), labels)) for member in members]

    cost, error = (
        interval(np.subtract(judged(students, measure), judged(plain, measure)))
        for measure in (F.cross_entropy, metrics.error_rate)
    )
    return cost, error


def test_students_of_an_ensemble_where_they_see_what_it_has_seen(members):
    """Ten networks' ensemble as the teacher, all examples: cross-entropy -0.005 [-0.011, +0.002] of
    0.096, error rate +0.14 points [-0.01, +0.32] of 2.67%. No gain was found."""
    taught = distill(mlp(), Ensemble([member.model for member in members[:10]]))
    cost, error = gains(fit(taught, "adam", 3e-3, FRESH, LANE), members[20:])
    assert cost.lo > -0.03
    assert cost.hi < 0.01
    assert abs(error.mean) < 0.004


def test_students_of_an_ensemble_gain_where_they_see_few_examples(members):
    """The same teacher, 100 of the 1,078 examples: its probabilities say what their labels do not.
    Section 6 of the paper. Cross-entropy -0.137 [-0.141, -0.132] of 0.420, error rate -2.2 points
    [-2.6, -1.9] of 10.9%."""
    few = replace(mlp(), train=tuple(part[:100] for part in digits()[0]), epochs=100)
    taught = distill(few, Ensemble([member.model for member in members[:10]]))
    students, plain = (fit(arm, "adam", 3e-3, FRESH, LANE) for arm in (taught, few))
    cost, error = gains(students, plain)
    assert cost.hi < -0.1
    assert error.hi < -0.015
