"""Keyed dropout against the theory of dropout."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ravine.training.noise import KeyedDropout, keyed, keys, restart
from ravine.training.noise.dropout import KeyedFeatureDropout

N = 1_000_000


def mask(key: int, p: float = 0.3) -> torch.Tensor:
    layer = KeyedDropout(p)
    layer.noise_key.fill_(key)
    return layer(torch.ones(N, dtype=torch.float64))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_of_zeros_is_p_and_the_mean_is_kept(p):
    out = mask(12345, p)
    error = 5 * math.sqrt(p * (1 - p) / N)
    assert abs((out == 0).double().mean().item() - p) < error
    assert out[out != 0].unique().tolist() == pytest.approx([1 / (1 - p)])


def test_neighbouring_keys_and_elements_are_uncorrelated():
    a, b = mask(1) - 1, mask(2**40 + 17) - 1
    spread = 5 / math.sqrt(N)
    assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < spread
    assert abs(torch.corrcoef(torch.stack([a[1:], a[:-1]]))[0, 1]) < spread


def test_a_key_names_a_mask():
    assert torch.equal(mask(7), mask(7))
    assert not torch.equal(mask(7), mask(10**15))


def test_a_layer_that_is_used_twice_draws_twice():
    layer = KeyedDropout(0.5)
    ones = torch.ones(100)
    first, second = layer(ones), layer(ones)
    assert not torch.equal(first, second)
    restart(layer)
    assert torch.equal(layer(ones), first)
    assert torch.equal(layer(ones), second)


def test_dropping_everything_leaves_zeros():
    assert torch.equal(KeyedDropout(1.0)(torch.randn(10)), torch.zeros(10))


def test_evaluation_passes_through():
    layer = KeyedDropout(0.5).eval()
    x = torch.randn(10)
    assert layer(x) is x


def test_every_dropout_is_replaced_and_keyed_apart():
    model = keyed(nn.Sequential(nn.Dropout(0.1), nn.Sequential(nn.Dropout(0.2), nn.ReLU())))
    assert [type(m) for m in (model[0], model[1][0])] == [KeyedDropout, KeyedDropout]
    assert (model[0].p, model[1][0].p) == (0.1, 0.2)
    values = keys([name for name, _ in model.named_buffers()], seed=3, step=4)
    assert set(values) == {"0.noise_key", "1.0.noise_key"}
    assert len(set(values.values())) == 2
    assert values != keys(list(values), seed=3, step=5)
    assert values != keys(list(values), seed=4, step=4)


@pytest.mark.parametrize(
    ("kind", "spatial"), [(nn.Dropout1d, 1), (nn.Dropout2d, 2), (nn.Dropout3d, 3)]
)
def test_whole_channels_are_dropped_of_batches_and_of_single_examples(kind, spatial):
    layer = keyed(kind(0.5))
    assert isinstance(layer, KeyedFeatureDropout)
    for lead in ((64, 16), (1000,)):
        out = layer(torch.ones(*lead, *(3,) * spatial, dtype=torch.float64))
        each = out.flatten(len(lead))
        assert (each == each[..., :1]).all()
        assert set(each.unique().tolist()) == {0.0, 2.0}
        zeros = (each[..., 0] == 0).double().mean().item()
        assert abs(zeros - 0.5) < 5 * math.sqrt(0.25 / each[..., 0].numel())
