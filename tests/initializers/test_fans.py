"""Fans, against products counted and variances measured in the layers themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.errors import SettingError
from ravine.initializers import Fans, fans_of, fans_of_shape, initialize, variance_scaling

TABLE = [
    (nn.Linear(5, 7), "weight", (5, 7)),
    (nn.Linear(5, 7), "bias", (5, 7)),
    (nn.Conv2d(8, 16, 3), "weight", (72, 144)),
    (nn.Conv2d(8, 16, 3, dilation=2), "weight", (72, 144)),
    (nn.Conv2d(8, 16, 3, groups=4), "weight", (18, 36)),
    (nn.Conv2d(8, 8, 5, groups=8), "weight", (25, 25)),
    (nn.Conv1d(6, 4, 4, stride=2), "weight", (24, 8)),
    (nn.Conv3d(2, 3, (1, 2, 3)), "weight", (12, 18)),
    (nn.ConvTranspose2d(8, 16, 3), "weight", (72, 144)),
    (nn.ConvTranspose2d(8, 16, 4, stride=2), "weight", (32, 256)),
    (nn.ConvTranspose1d(8, 4, 3, groups=2), "weight", (12, 6)),
    (nn.Embedding(100, 12), "weight", (1, 12)),
    (nn.EmbeddingBag(100, 12), "weight", (1, 12)),
    (nn.Bilinear(3, 6, 5), "weight", (18, 20)),
    (nn.MultiheadAttention(12, 3), "in_proj_weight", (12, 12)),
    (nn.MultiheadAttention(12, 3), "in_proj_bias", (12, 12)),
    (nn.MultiheadAttention(12, 3).out_proj, "weight", (12, 12)),
    (nn.MultiheadAttention(12, 3, kdim=5, vdim=7), "q_proj_weight", (12, 12)),
    (nn.MultiheadAttention(12, 3, kdim=5, vdim=7), "k_proj_weight", (5, 12)),
    (nn.MultiheadAttention(12, 3, kdim=5, vdim=7), "v_proj_weight", (7, 12)),
    (nn.LSTM(5, 8), "weight_ih_l0", (5, 8)),
    (nn.LSTM(5, 8), "bias_ih_l0", (5, 8)),
    (nn.LSTM(5, 8), "weight_hh_l0", (8, 8)),
    (nn.LSTM(5, 8, num_layers=2, bidirectional=True), "weight_ih_l1_reverse", (16, 8)),
    (nn.LSTM(5, 8, proj_size=3), "weight_hr_l0", (8, 3)),
    (nn.LSTM(5, 8, proj_size=3), "weight_hh_l0", (3, 8)),
    (nn.GRU(5, 8), "weight_ih_l0", (5, 8)),
    (nn.RNN(5, 8), "weight_ih_l0", (5, 8)),
    (nn.LSTMCell(5, 8), "weight_hh", (8, 8)),
    (nn.GRUCell(5, 8), "bias_ih", (5, 8)),
    (nn.RNNCell(5, 8), "weight_ih", (5, 8)),
]


@pytest.mark.parametrize(("layer", "name", "expected"), TABLE, ids=lambda x: str(x)[:60])
def test_known_values(layer: nn.Module, name: str, expected: tuple[float, float]) -> None:
    assert fans_of(layer, name) == Fans(*expected)


@pytest.mark.parametrize("shape", [(5, 7), (8, 4, 3), (8, 4, 3, 5), (2, 3, 1, 2, 3)])
def test_fans_of_a_shape_are_torchs(shape: tuple[int, ...]) -> None:
    theirs = nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    assert fans_of_shape(shape) == Fans(*theirs)


CONVOLUTIONS = [
    nn.Conv1d(6, 4, 3),
    nn.Conv1d(6, 4, 3, groups=2),
    nn.Conv1d(6, 4, 3, dilation=2),
    nn.Conv1d(6, 4, 3, stride=2),
    nn.Conv1d(6, 4, 1, stride=2),
    nn.Conv1d(6, 4, 5, stride=3, dilation=2, groups=2),
    nn.Conv2d(4, 6, (3, 2), stride=(2, 1), groups=2),
    nn.ConvTranspose1d(6, 4, 3),
    nn.ConvTranspose1d(6, 4, 4, stride=2),
    nn.ConvTranspose1d(6, 4, 3, stride=2, groups=2),
    nn.ConvTranspose1d(6, 4, 5, stride=3, dilation=2),
    nn.ConvTranspose2d(4, 6, (3, 2), stride=(1, 2), groups=2),
]


def middle(x: torch.Tensor, period: int = 6) -> torch.Tensor:
    """Whole periods of all strides, away from the borders (6 is a multiple of 1, 2 and 3)."""
    for axis in range(2, x.ndim):
        start = x.shape[axis] // 2 - period
        x = x.narrow(axis, start, 2 * period)
    return x


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_convolutions_sum_as_many_products_as_their_fans_say(layer: nn.Module) -> None:
    """With ones everywhere an output, and an input's gradient, are the number of products in it."""
    layer = type(layer)(**settings(layer)).double()
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.zero_()
    axes = layer.weight.ndim - 2
    x = torch.ones(1, layer.in_channels, *[60] * axes, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    y.backward(torch.ones_like(y))
    fans = fans_of(layer, "weight")
    assert middle(y).mean().item() == pytest.approx(fans.fan_in, rel=1e-12)
    assert middle(x.grad).mean().item() == pytest.approx(fans.fan_out, rel=1e-12)


def settings(layer: nn.Module) -> dict:
    names = ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
    return {name: getattr(layer, name) for name in names}


def test_bilinear_and_embedding_sum_as_many_products_as_their_fans_say() -> None:
    bilinear = nn.Bilinear(3, 6, 5, bias=False).double()
    nn.init.ones_(bilinear.weight)
    first, second = (torch.ones(1, n, dtype=torch.float64, requires_grad=True) for n in (3, 6))
    y = bilinear(first, second)
    y.sum().backward()
    fans = fans_of(bilinear, "weight")
    assert torch.all(y == fans.fan_in)
    assert torch.cat([first.grad, second.grad], 1).mean() == fans.fan_out

    table = torch.ones(10, 4)
    one_hot = torch.eye(10)[3].requires_grad_()
    y = one_hot @ table
    assert torch.equal(y, nn.functional.embedding(torch.tensor(3), table))
    y.sum().backward()
    fans = fans_of(nn.Embedding(10, 4), "weight")
    assert torch.all(y == fans.fan_in)
    assert torch.all(one_hot.grad == fans.fan_out)


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=str)
def test_variance_is_kept_by_the_initializer_of_its_direction(layer: nn.Module) -> None:
    """lecun keeps E[y²] = E[x²]; variance 1/fan_out keeps that of gradients.

    Over 150 draws of the weights. Every layer has at least 24, whose squares have a relative variance
    of 2 at most, so the mean of E[y² | W] has a standard error below √(2/(24·150)) = 2.4%; inputs
    add less, since there are 48 outputs or more.
    """
    layer = type(layer)(**settings(layer), bias=False).double()
    axes = layer.weight.ndim - 2
    random = torch.Generator().manual_seed(0)
    forward, backward = [], []
    for seed in range(150):
        x = torch.randn(
            1,
            layer.in_channels,
            *[60 if axes == 1 else 36] * axes,
            dtype=torch.float64,
            generator=random,
        ).requires_grad_()
        initialize(layer, "lecun_normal", seed=seed)
        forward.append(middle(layer(x)).square().mean().item())
        initialize(layer, VS_OUT, seed=seed)
        y = layer(x)
        y.backward(torch.randn(y.shape, dtype=torch.float64, generator=random))
        backward.append(middle(x.grad).square().mean().item())
    assert sum(forward) / 150 == pytest.approx(1.0, abs=0.1)
    assert sum(backward) / 150 == pytest.approx(1.0, abs=0.1)


VS_OUT = variance_scaling(1.0, "fan_out", "uniform")


def test_what_is_no_layer_is_refused() -> None:
    for layer, name in (
        (nn.BatchNorm1d(3), "weight"),
        (nn.Linear(2, 3), "scale"),
        (nn.Linear(2, 3, bias=False), "bias"),
        (nn.PReLU(), "weight"),
        (nn.MultiheadAttention(4, 2, add_bias_kv=True), "bias_k"),
        (nn.LSTM(2, 3, bias=False), "bias_ih_l0"),
    ):
        with pytest.raises(SettingError, match=f"no fans are known for '{name}'"):
            fans_of(layer, name)
