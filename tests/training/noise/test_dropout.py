"""Keyed dropout against the theory of dropout."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ravine.training.noise import KeyedDropout, keyed, keys, restart

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


RANKS = {nn.Dropout1d: (2, 3), nn.Dropout2d: (2, 3, 4, 5), nn.Dropout3d: (1, 2, 3, 4, 5)}


def sharing(out: torch.Tensor) -> list[bool]:
    """Which axes share a mask."""
    return [bool((out == out.narrow(axis, 0, 1)).all()) for axis in range(out.ndim)]


@pytest.mark.parametrize(
    ("kind", "rank"), [(kind, rank) for kind, ranks in RANKS.items() for rank in ranks]
)
@pytest.mark.filterwarnings("ignore:dropout[23]d. Received")
def test_the_same_axes_share_a_mask_as_in_torch_at_every_rank(kind, rank):
    """6 entries an axis, p = 1/2: an axis of independent masks looks shared with 2⁻⁵ or less (the

    seed is fixed), whatever the other axes are; 1-D input has 64 entries."""
    torch.manual_seed(0)
    ones = torch.ones((6,) * rank if rank > 1 else (64,), dtype=torch.float64)
    found, expected = keyed(kind(0.5))(ones), kind(0.5)(ones)
    assert sharing(found) == sharing(expected)
    assert set(found.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(nn.Dropout1d, (64, 32)), (nn.Dropout2d, (64, 32)), (nn.Dropout3d, (64, 8, 2, 2))],
)
@pytest.mark.filterwarnings("ignore:dropout[23]d. Received")
def test_the_share_of_dropped_channels_is_p_below_full_rank_too(kind, shape):
    """Over 400 keys: channels of one example, or every feature of a batch; bound: 5 deviations."""
    layer, zeros = keyed(kind(0.3)), []
    for key in range(400):
        layer.noise_key.fill_(key * 2**20)
        restart(layer)
        out = layer(torch.ones(shape))
        zeros.append((out[:, :1] if kind is not nn.Dropout2d else out).flatten(1)[:, :1] == 0)
    share = torch.stack(zeros).double()
    assert abs(share.mean().item() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / share.numel())
    assert not share.flatten(1).bool().all(1).any()  # never a whole batch: 0.3 ** 64


@pytest.mark.parametrize(
    ("kind", "rank"), [(nn.Dropout1d, 1), (nn.Dropout1d, 4), (nn.Dropout2d, 1), (nn.Dropout3d, 0)]
)
@pytest.mark.filterwarnings("ignore:dropout[23]d. Received")
def test_what_torch_does_not_take_is_refused(kind, rank):
    for layer in (kind(0.5), keyed(kind(0.5))):
        with pytest.raises(RuntimeError):
            layer(torch.ones((2,) * rank))


def test_torchs_warning_about_a_rank_is_heard():
    with pytest.warns(UserWarning, match="2-D input to dropout2d"):
        keyed(nn.Dropout2d(0.5))(torch.ones(2, 3))
