"""Averages of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.errors import SettingError
from ravine.strategies import average_weights
from tests.strategies.models import diverged, linear

X = torch.randn(60, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def normalized(seed: int) -> nn.Module:
    model = nn.Sequential(linear(seed, 4, 5), nn.BatchNorm1d(5).double(), linear(seed + 100, 5, 3))
    model(X[:30])
    return model


def test_parameters_are_means_and_the_models_stay():
    models = [linear(seed) for seed in range(5)]
    before = [model.weight.clone() for model in models]
    soup = average_weights(models)
    for name in ("weight", "bias"):
        mean = torch.stack([getattr(model, name) for model in models]).mean(0)
        assert (getattr(soup, name) - mean).abs().max() <= 1e-15
    assert all(torch.equal(m.weight, w) for m, w in zip(models, before, strict=True))
    assert not soup.training
    assert soup.weight.requires_grad


def test_of_linear_models_it_is_the_mean_of_outputs():
    models = [linear(seed) for seed in range(3)]
    mean = torch.stack([model(X) for model in models]).mean(0)
    assert (average_weights(models)(X) - mean).abs().max() <= 1e-14


def test_running_statistics_are_those_of_the_mean_weights():
    models = [normalized(seed) for seed in range(3)]
    soup = average_weights(models, X.split(20))
    hidden = soup[0](X).detach()
    assert (soup[1].running_mean - hidden.mean(0)).abs().max() <= 1e-13
    assert (soup[1].running_var - hidden.var(0)).abs().max() <= 1e-13
    assert (soup[1].running_mean - models[-1][1].running_mean).abs().max() > 0.01


def test_a_frozen_parameter_and_equal_buffers_are_kept():
    models = [linear(seed) for seed in range(2)]
    for model in models:
        model.weight.requires_grad_(False)
        model.register_buffer("scale", torch.tensor([1, 2, 3]))
    soup = average_weights(models)
    assert not soup.weight.requires_grad
    assert soup.scale.tolist() == [1, 2, 3]


def test_what_has_no_mean_is_refused():
    with pytest.raises(SettingError, match="no models"):
        average_weights([])
    with pytest.raises(SettingError, match="has diverged"):
        average_weights([linear(0), diverged()])
    with pytest.raises(SettingError, match=r"'bias' is \[3\] in model 0 and \[2\] in model 1"):
        average_weights([linear(0), linear(1, outputs=2)])
    with pytest.raises(SettingError, match=r"only one of model 0 and model 2 has .*'0.bias'"):
        average_weights([linear(0), linear(1), nn.Sequential(linear(2))])
    with pytest.raises(SettingError, match=r"batches=inputs.split"):
        average_weights([normalized(0), normalized(1)])
    models = [linear(0), linear(1)]
    for seed, model in enumerate(models):
        model.register_buffer("scale", torch.tensor([seed]))
    with pytest.raises(SettingError, match="buffer 'scale' differs"):
        average_weights(models)
