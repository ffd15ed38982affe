"""Keyed attention is torch's attention, but for which parts are dropped."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ravine.training.noise import keyed, restart
from ravine.training.noise.attention import KeyedAttention

N, LENGTH, WIDTH, HEADS = 3, 5, 8, 2


def pair(**options) -> tuple[nn.MultiheadAttention, KeyedAttention]:
    """Torch's layer without dropout; the same one keyed, its dropout such that nothing is dropped."""
    torch.manual_seed(0)
    plain = nn.MultiheadAttention(WIDTH, HEADS, dropout=0.0, **options).double()
    for param in plain.parameters():
        nn.init.normal_(param)
    torch.manual_seed(0)
    ours = nn.MultiheadAttention(WIDTH, HEADS, dropout=0.5, **options).double()
    ours.load_state_dict(plain.state_dict())
    made = keyed(ours)
    made.dropped = lambda x, p, axes=None: x
    return plain, made


CAUSAL = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
ADDED = torch.randn(N * HEADS, LENGTH, LENGTH, dtype=torch.float64)
PADDING = torch.arange(LENGTH) >= torch.tensor([[5], [3], [4]])


@pytest.mark.parametrize("weights", [{"need_weights": False}, {"average_attn_weights": False}, {}])
@pytest.mark.parametrize(
    "masks",
    [
        {},
        {"attn_mask": CAUSAL, "is_causal": True},
        {"attn_mask": ADDED},
        {"key_padding_mask": PADDING},
        {"attn_mask": CAUSAL, "key_padding_mask": PADDING},
    ],
    ids=["none", "causal", "added", "padding", "both"],
)
@pytest.mark.parametrize(
    "options",
    [{"batch_first": True}, {}, {"bias": False}, {"kdim": 8, "vdim": 4, "batch_first": True}],
    ids=["batch-first", "time-first", "no-bias", "other-widths"],
)
@pytest.mark.filterwarnings("ignore:Support for mismatched")
def test_it_is_torchs_attention_and_so_is_its_gradient(options, masks, weights):
    plain, ours = pair(**options)
    lead = (N, LENGTH) if options.get("batch_first") else (LENGTH, N)
    widths = (WIDTH, options.get("kdim", WIDTH), options.get("vdim", WIDTH))
    given = [torch.randn(*lead, width, dtype=torch.float64) for width in widths]
    if not options.get("kdim"):
        given = [given[0]] * 3
    found, expected = (layer(*given, **masks, **weights) for layer in (ours, plain))
    assert torch.allclose(found[0], expected[0], rtol=1e-12, atol=1e-14)
    assert (found[1] is None) == (expected[1] is None)
    if expected[1] is not None:
        assert torch.allclose(found[1], expected[1], rtol=1e-12, atol=1e-14)
    ours_grads, theirs = (
        torch.autograd.grad(out[0].square().sum(), list(layer.parameters()))
        for out, layer in ((found, ours), (expected, plain))
    )
    for a, b in zip(ours_grads, theirs, strict=True):
        assert (a - b).abs().max() <= 1e-12 * b.abs().max()


def test_a_single_example_needs_no_batch():
    plain, ours = pair(batch_first=True)
    x = torch.randn(LENGTH, WIDTH, dtype=torch.float64)
    for found, expected in zip(ours(x, x, x), plain(x, x, x), strict=True):
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_weights_are_dropped_by_key_and_scaled_up():
    layer = keyed(nn.MultiheadAttention(WIDTH, HEADS, dropout=0.5, batch_first=True))
    x = torch.randn(64, LENGTH, WIDTH)
    _, weights = layer(x, x, x, average_attn_weights=False)
    zeros = (weights == 0).double().mean().item()
    assert abs(zeros - 0.5) < 5 * math.sqrt(0.25 / weights.numel())
    _, whole = layer.eval()(x, x, x, average_attn_weights=False)
    kept = weights != 0
    assert torch.allclose(weights[kept], 2 * whole[kept], rtol=1e-5)
    restart(layer.train())
    assert torch.equal(layer(x, x, x, average_attn_weights=False)[1], weights)
    restart(layer)
    layer.noise_key.fill_(1)
    assert not torch.equal(layer(x, x, x, average_attn_weights=False)[1], weights)


def test_attention_with_keys_of_its_own_stays():
    layer = nn.MultiheadAttention(WIDTH, HEADS, dropout=0.5, add_bias_kv=True)
    assert keyed(layer) is layer


def test_two_uses_of_one_layer_drop_apart_and_the_old_layer_stays_as_it_was():
    layer = nn.MultiheadAttention(WIDTH, HEADS, dropout=0.5, batch_first=True)
    model = keyed(nn.ModuleList([layer, layer]))
    x = torch.randn(16, LENGTH, WIDTH)
    zeros = [one(x, x, x, average_attn_weights=False)[1] == 0 for one in model]
    same = (zeros[0] == zeros[1]).double().mean().item()
    assert abs(same - 0.5) < 5 * math.sqrt(0.25 / zeros[0].numel())
    assert dict(layer.named_buffers()) == {}
    assert [name for name, _ in model.named_buffers()] == ["0.noise_key"]


def test_causal_without_a_mask_is_refused_as_by_torch():
    x = torch.randn(N, LENGTH, WIDTH)
    for wrap in (lambda layer: layer, keyed):
        layer = wrap(nn.MultiheadAttention(WIDTH, HEADS, dropout=0.5, batch_first=True))
        with pytest.raises(RuntimeError, match="attn_mask"):
            layer(x, x, x, is_causal=True, need_weights=False)
