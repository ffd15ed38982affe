"""What batch norms see of a minibatch."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.normalization import inspect, refresh
from ravine.normalization._layers import batch_norms
from tests.normalization.models import convolutional, drawn, everything, mlp, same


@pytest.mark.parametrize("kind", ["mlp", "convolutional"])
def test_records_are_those_of_torchs_layers(kind: str) -> None:
    """The gap by running both modes of each layer on what came into it."""
    model, x = (mlp(), drawn(20, 4)) if kind == "mlp" else (convolutional(), drawn(3, 2, 6, 6))
    training, came_in = deepcopy(model), {}
    training[3].p = 0.0  # dropout is off; the convolution there does not mind
    for name, norm in batch_norms(training).items():
        norm.register_forward_hook(lambda m, args, out, name=name: came_in.update({name: args[0]}))
    training.train()(x)
    records = inspect(model, x)
    assert [record.name for record in records] == list(came_in)
    for record in records:
        norm, H = batch_norms(model)[record.name], came_in[record.name].detach()
        axes = tuple(axis for axis in range(H.ndim) if axis != 1)
        array, layer = H.numpy(), deepcopy(norm)
        assert (record.examples, record.count) == (len(H), H.numel() // H.shape[1])
        np.testing.assert_allclose(record.mean, array.mean(axis=axes), atol=1e-12)
        np.testing.assert_allclose(record.std, array.std(axis=axes), rtol=1e-12)
        assert torch.equal(record.running_mean, norm.running_mean)
        assert torch.equal(record.running_std, norm.running_var.sqrt())
        assert not record.constant.any()
        with torch.no_grad():
            tested, trained = layer.eval()(H), layer.train()(H)
        squares = (tested - trained).square().mean(dim=axes)
        expected = squares.sqrt() / norm.weight.detach().abs()
        torch.testing.assert_close(record.gap, expected, rtol=1e-12, atol=1e-13)
        assert float(record.gap.min()) > 0.05  # these statistics are random


def test_the_gap_in_closed_form() -> None:
    """√((μ-m)²/(v+δ) + σ²(1/√(σ²+δ) - 1/√(v+δ))²): a shift and a scale."""
    model = nn.Sequential(nn.BatchNorm1d(2)).double()
    model[0].running_mean.copy_(torch.tensor([1.0, 0.0]))
    model[0].running_var.copy_(torch.tensor([4.0, 1.0]))
    x = torch.tensor([[3.0, -2.0], [3.0, 2.0], [7.0, 2.0], [7.0, -2.0]], dtype=torch.float64)
    shift, scale = 4 / np.sqrt(4 + 1e-5), 2 / np.sqrt(1 + 1e-5) - 2 / np.sqrt(4 + 1e-5)
    (record,) = inspect(model, x)
    first = np.hypot(shift, 2 / np.sqrt(4 + 1e-5) - 2 / np.sqrt(4 + 1e-5))
    np.testing.assert_allclose(record.gap, [first, scale], rtol=1e-12)


def test_one_example_goes_on_in_the_evaluation_form() -> None:
    model, x = mlp().train(), drawn(1, 4)
    expected = deepcopy(model).eval()
    H = expected[:5](x)
    records = inspect(model, x)
    assert [(r.examples, r.count) for r in records] == [(1, 1), (1, 1)]
    torch.testing.assert_close(records[1].mean, H[0].detach(), rtol=1e-12, atol=1e-12)
    for record in records:
        assert record.gap.isnan().all()
        assert record.constant.all()
        assert torch.equal(record.std, torch.zeros_like(record.std))


def test_constant_channels_are_noticed() -> None:
    """Also of a number that float32 rounds, 0.1: a sum over 124 of them is not 12.4."""
    x = drawn(31, 3, 2, 2).float()
    x[:, 1] = 0.1
    (record,) = inspect(nn.BatchNorm2d(3), x)
    assert record.constant.tolist() == [False, True, False]
    assert float(record.std[1]) == 0
    assert record.name == ""


def test_layers_without_running_statistics() -> None:
    (record,) = inspect(nn.BatchNorm1d(3, track_running_stats=False), drawn(5, 3).float())
    assert record.running_mean is None
    assert record.running_std is None
    assert record.gap.isnan().all()


def test_a_layer_that_is_used_twice_has_two_records() -> None:
    norm = nn.BatchNorm1d(3)
    records = inspect(nn.Sequential(norm, nn.Tanh(), norm), drawn(5, 3).float())
    assert [record.name for record in records] == ["0", "0"]


@pytest.mark.parametrize("examples", [1, 20])
def test_nothing_changes(examples: int) -> None:
    model = mlp().train()
    model[5].eval()
    model(drawn(20, 4)).sum().backward()
    before = everything(model)
    records = inspect(model, drawn(examples, 4))
    assert same(everything(model), before)
    for record in records:  # nor through what was handed out
        record.running_mean.zero_()
        record.mean.zero_()
    assert same(everything(model), before)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        inspect(model, drawn(20, 3))
    assert same(everything(model), before)


class ByName(nn.Module):
    """Calls its batch norm with a named argument."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(input=x)


def test_inputs_given_by_name() -> None:
    model, x = ByName().double().train(), drawn(20, 3)
    before = everything(model)
    (record,) = inspect(model, x)
    np.testing.assert_allclose(record.mean, x.numpy().mean(axis=0), atol=1e-12)
    assert same(everything(model), before)
    refresh(model, [x])
    np.testing.assert_allclose(model.norm.running_var, x.numpy().var(axis=0, ddof=1), rtol=1e-12)
