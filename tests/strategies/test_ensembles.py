"""Averages of probabilities and of outputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax
from torch import nn

from ravine import metrics
from ravine.comparison.statistics import interval
from ravine.errors import SettingError
from ravine.recipes.digits import digits
from ravine.strategies import Ensemble, RegressionEnsemble
from tests.strategies.models import diverged, linear

WEIGHTS = (1.0, 2.5, 0.5)
X = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def models(scale: float = 1.0) -> list[nn.Module]:
    made = [linear(seed) for seed in range(3)]
    for model in made:
        model.weight.data *= scale
    return made


def shares(weights: tuple[float, ...] | None) -> list[float]:
    given = weights or (1.0, 1.0, 1.0)
    return [weight / sum(given) for weight in given]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_output_is_the_logarithm_of_the_mean_probability(weights):
    ours = Ensemble(models(), weights)(X).detach().numpy()
    probabilities = [np.exp(log_softmax(m(X).detach().numpy(), axis=1)) for m in models()]
    mean = sum(w * p for w, p in zip(shares(weights), probabilities, strict=True))
    assert np.max(np.abs(ours - np.log(mean))) <= 1e-12
    assert np.max(np.abs(np.exp(ours).sum(axis=1) - 1)) <= 1e-14


def test_scores_of_any_size_have_finite_log_probabilities():
    """Probabilities of 10^-400 and less, which float64 has none of."""
    scores = [torch.tensor([[0.0, -2000.0]]), torch.tensor([[0.0, -1000.0]])]
    ensemble = Ensemble([Constant(score) for score in scores])
    expected = torch.tensor([[0.0, -1000.0 - math.log(2)]])
    assert torch.allclose(ensemble(torch.zeros(1)), expected, rtol=1e-6)


class Constant(nn.Module):
    def __init__(self, output: torch.Tensor):
        super().__init__()
        self.register_buffer("output", output)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output


def test_maps_of_scores_are_averaged_over_classes_in_the_second_axis():
    maps = [torch.randn(2, 3, 4, 5, dtype=torch.float64) for _ in range(2)]
    ours = Ensemble([Constant(m) for m in maps])(X)
    assert torch.allclose(ours.exp(), sum(m.softmax(1) for m in maps) / 2, atol=1e-14, rtol=0)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_its_cross_entropy_is_never_above_the_mean_of_its_members(scale, weights):
    """Jensen's inequality, for every example and every label; equal where the members agree."""
    made = models(scale)
    logs = Ensemble(made, weights)(X)
    mean = sum(w * m(X).log_softmax(1) for w, m in zip(shares(weights), made, strict=True))
    assert (logs >= mean - 1e-14).all()
    assert (logs > mean + 1e-9).any()
    same = Ensemble([made[0]] * 3, weights)(X)
    assert torch.allclose(same, made[0](X).log_softmax(1), atol=1e-13, rtol=1e-13)


def test_squared_error_is_the_members_less_their_spread():
    """Krogh & Vedelsby's decomposition, exactly."""
    ensemble = RegressionEnsemble(models(), WEIGHTS)
    outputs = [model(X) for model in models()]
    y = torch.randn(50, 3, dtype=torch.float64)
    f = ensemble(X)
    pairs = list(zip(shares(WEIGHTS), outputs, strict=True))
    assert torch.allclose(f, sum(w * o for w, o in pairs), atol=1e-15, rtol=1e-14)
    errors = sum(w * (o - y).square() for w, o in pairs)
    spread = sum(w * (o - f).square() for w, o in pairs)
    assert torch.allclose((f - y).square(), errors - spread, atol=1e-13, rtol=0)


def test_architectures_may_differ_and_gradients_reach_all_members():
    made = [linear(0), nn.Sequential(linear(1, 4, 8), nn.Tanh(), linear(2, 8, 3))]
    F.cross_entropy(Ensemble(made)(X), torch.zeros(50, dtype=torch.int64)).backward()
    assert all(p.grad.abs().sum() > 0 for model in made for p in model.parameters())


def test_what_cannot_answer_together_is_refused():
    for kind in (Ensemble, RegressionEnsemble):
        with pytest.raises(SettingError, match="no models"):
            kind([])
        with pytest.raises(SettingError, match="are Linear; expected a list"):
            kind(linear(0))
        with pytest.raises(SettingError, match="model 1 of an ensemble is str"):
            kind([linear(0), "adam"])
        with pytest.raises(SettingError, match="model 1 of an ensemble has diverged: 'bias'"):
            kind([linear(0), diverged()])
        with pytest.raises(SettingError, match="2 weights for 1 models"):
            kind([linear(0)], [1.0, 2.0])
        for weight in (0.0, -1.0, math.nan, math.inf):
            with pytest.raises(SettingError, match="expected a positive number"):
                kind([linear(0), linear(1)], [1.0, weight])
        with pytest.raises(SettingError, match=r"model 1 gives \[50, 2\]"):
            kind([linear(0), linear(1, outputs=2)])(X)
    with pytest.raises(SettingError, match="RegressionEnsemble averages outputs"):
        Ensemble([linear(0, outputs=1)])(X)


def test_ensembles_of_digits_networks(members):
    """The notes: train multiple independent models, at test time average their results.

    Eight ensembles of five against the mean of their own members, on test data. The cross-entropy
    falls in each of them, as it must: by 22% on the mean, from 0.095. The error rate falls from 2.8%
    by 0.19 points [0.04, 0.31].
    """
    inputs, labels = digits()[2]
    changes = {"cost": [], "error": []}
    alone = {"cost": [], "error": []}
    for first in range(0, 40, 5):
        five = [member.model for member in members[first : first + 5]]
        for name, measure in (("cost", F.cross_entropy), ("error", metrics.error_rate)):
            with torch.no_grad():
                alone[name].append(np.mean([float(measure(m(inputs), labels)) for m in five]))
                together = float(measure(Ensemble(five)(inputs), labels))
            changes[name].append(together - alone[name][-1])
    assert max(changes["cost"]) < 0
    assert interval(np.divide(changes["cost"], alone["cost"])).hi < -0.15
    assert interval(changes["error"]).hi < 0
