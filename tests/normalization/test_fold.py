"""Batch norms taken into the weights of the layers before them."""

from __future__ import annotations

import io
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from ravine.errors import SettingError
from ravine.normalization import fold
from tests.normalization.models import (
    convolutional,
    drawn,
    everything,
    mlp,
    same,
    seeded,
    unsettled,
)


def pair(layer: nn.Module, norm: nn.Module) -> Any:
    return seeded(lambda: unsettled(nn.Sequential(layer, norm)))


PAIRS = {
    "linear": (lambda: pair(nn.Linear(4, 6), nn.BatchNorm1d(6)), (5, 4)),
    "no bias": (lambda: pair(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6)), (5, 4)),
    "no gain": (lambda: pair(nn.Linear(4, 6), nn.BatchNorm1d(6, affine=False)), (5, 4)),
    "conv1d": (lambda: pair(nn.Conv1d(4, 6, 3, dilation=2), nn.BatchNorm1d(6)), (5, 4, 9)),
    "conv2d": (
        lambda: pair(nn.Conv2d(4, 6, 3, groups=2, padding=1, stride=2), nn.BatchNorm2d(6)),
        (5, 4, 6, 6),
    ),
    "conv3d": (
        lambda: pair(nn.Conv3d(4, 6, 2, bias=False), nn.BatchNorm3d(6, affine=False)),
        (2, 4, 3, 3, 3),
    ),
    "reflected": (
        lambda: pair(nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(6)),
        (5, 4, 6, 6),
    ),
    "transposed": (lambda: pair(nn.ConvTranspose1d(4, 6, 3), nn.BatchNorm1d(6)), (5, 4, 6)),
    "transposed groups": (
        lambda: pair(
            nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, bias=False), nn.BatchNorm2d(6)
        ),
        (5, 4, 4, 4),
    ),
    "depthwise transposed": (
        lambda: pair(nn.ConvTranspose2d(4, 4, 3, groups=4), nn.BatchNorm2d(4)),
        (5, 4, 4, 4),
    ),
    "transposed 3d": (
        lambda: pair(nn.ConvTranspose3d(4, 2, 2, groups=2), nn.BatchNorm3d(2)),
        (2, 4, 3, 3, 3),
    ),
    "synchronized": (lambda: pair(nn.Linear(4, 6), nn.SyncBatchNorm(6)), (5, 4)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_outputs_are_the_same(name: str) -> None:
    make, shape = PAIRS[name]
    model, x = make().train(), drawn(*shape)
    before = everything(model)
    found = fold(model)
    assert (found.folded, found.kept) == ({"1": "0"}, {})
    assert type(found.model[1]) is nn.Identity
    assert not found.model.training
    assert found.model[0].weight.shape == model[0].weight.shape
    assert same(everything(model), before)
    torch.testing.assert_close(found.model(x), model.eval()(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [mlp, convolutional])
def test_whole_models_and_their_copies(make: Any) -> None:
    model = make()
    x = drawn(5, 4) if make is mlp else drawn(3, 2, 7, 7)
    found = fold(model)
    assert len(found.folded) == 2
    expected = model.eval()(x)
    torch.testing.assert_close(found.model(x), expected, rtol=1e-12, atol=1e-12)
    file = io.BytesIO()
    torch.save(found.model, file)
    file.seek(0)
    for copied in (deepcopy(found.model), torch.load(file, weights_only=False)):
        torch.testing.assert_close(copied(x), expected, rtol=1e-12, atol=1e-12)
    by_torch = fuse(deepcopy(model))(x)
    torch.testing.assert_close(found.model(x), by_torch, rtol=1e-12, atol=1e-12)


class Block(nn.Module):
    """Two paths; `shared` is one batch norm under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.again = self.norm
        self.skip = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.last = nn.BatchNorm2d(3)
        self.scale = 2.0

    def forward(self, x: Tensor) -> Tensor:
        inner = self.again(self.layer(x)).relu() + self.skip(x)
        return self.last(inner) * self.scale  # type: ignore[no-any-return]


def test_a_class_of_ones_own() -> None:
    model, x = seeded(lambda: unsettled(Block())), drawn(2, 3, 5, 5)
    found = fold(model)
    assert type(found.model) is Block
    assert found.folded == {"norm": "layer", "skip.1": "skip.0"}
    assert list(found.kept) == ["last"]
    assert "no layer but call_function" in found.kept["last"]
    torch.testing.assert_close(found.model(x), model.eval()(x), rtol=1e-12, atol=1e-12)


class Calls(nn.Module):
    """A linear layer and a batch norm, used as the given function does."""

    def __init__(self, use: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.use = use

    def forward(self, x: Tensor) -> Any:
        return self.use(self, x)


def changed(**changes: Any) -> Any:
    model = pair(nn.Linear(4, 4), nn.BatchNorm1d(4))
    for place, module in changes.items():
        model[int(place.removeprefix("at"))] = module
    return unsettled(model)


def with_hook(place: int) -> Any:
    model = changed()
    model[place].register_forward_hook(lambda module, args, output: 2 * output)
    return model


class Scaled(nn.BatchNorm1d):
    """A batch norm that does more."""

    def forward(self, input: Tensor) -> Tensor:
        return 3 * super().forward(input)


KEPT = {
    "layer used twice": (lambda: Calls(lambda m, x: m.norm(m.layer(x)) + m.layer(2 * x)), "too"),
    "output used twice": (
        lambda: Calls(lambda m, x: (lambda h: m.norm(h) + h)(m.layer(x))),
        "layer, which comes before, is used elsewhere, too",
    ),
    "weight used": (lambda: Calls(lambda m, x: m.norm(m.layer(x)) @ m.layer.weight), "too"),
    "norm used twice": (
        lambda: Calls(lambda m, x: m.norm(m.norm(m.layer(x)))),
        "it is used 2 times",
    ),
    "not used": (lambda: Calls(lambda m, x: m.layer(x)), "it is used 0 times"),
    "cannot be traced": (
        lambda: Calls(lambda m, x: m.norm(m.layer(x)) if x.sum() > 0 else m.layer(x)),
        "cannot be traced: TraceError: symbolically traced variables",
    ),
    "first": (lambda: changed(at0=nn.Identity()), "0, a Identity"),
    "activation": (lambda: changed(at0=nn.Tanh()), "0, a Tanh"),
    "no statistics": (
        lambda: changed(at1=nn.BatchNorm1d(4, track_running_stats=False)),
        "it keeps no running statistics",
    ),
    "weight norm": (
        lambda: changed(at0=nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))),
        "ParametrizedLinear",
    ),
    "subclass": (lambda: changed(at1=Scaled(4)), "it is a Scaled that may do more"),
    "hook of the layer": (lambda: with_hook(0), "0, a Linear"),
    "hook of the norm": (lambda: with_hook(1), "it is a BatchNorm1d that may do more"),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_cannot_be_folded_stays_and_says_why(case: str) -> None:
    make, reason = KEPT[case]
    model, x = unsettled(seeded(make)), drawn(5, 4)
    found = fold(model)
    assert found.folded == {}
    (said,) = found.kept.values()
    assert reason in said
    torch.testing.assert_close(found.model(x), model.eval()(x), rtol=0, atol=0)


def test_sequences_through_a_linear_layer() -> None:
    """Of [examples, a, b] a batch norm normalizes a, a linear layer gives b."""
    kept = fold(pair(nn.Linear(4, 6), nn.BatchNorm1d(3)))
    assert kept.kept == {"1": "0, which comes before, has 6 channels"}
    square = fold(pair(nn.Linear(4, 6), nn.BatchNorm1d(6)))
    with pytest.raises(SettingError, match=r"Linear with a batch norm .* \[5, 6, 4\], and takes 2"):
        square.model(drawn(5, 6, 4))


def test_a_model_without_batch_norms() -> None:
    found = fold(nn.Linear(2, 2))
    assert (found.folded, found.kept) == ({}, {})
