"""Running statistics recomputed from data."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset

from ravine import Optimizer, rules
from ravine.errors import SettingError
from ravine.normalization import refresh
from ravine.normalization._layers import batch_norms
from ravine.transforms import chain, stochastic_weight_average
from tests.normalization.models import convolutional, drawn, everything, mlp, same, unsettled


def cut(x: Tensor, *sizes: int) -> list[Tensor]:
    return list(torch.split(x, sizes))


def close(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def statistics(model: nn.Module) -> list[Tensor]:
    return [
        tensor.clone()
        for norm in batch_norms(model).values()
        for tensor in (norm.running_mean, norm.running_var)
        if tensor is not None
    ]


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def forward(model: nn.Sequential, x: Tensor, sizes: tuple[int, ...]) -> tuple[Any, Any]:
    """What comes into the two batch norms of `mlp`, in NumPy: dropout off, minibatch by minibatch."""
    (W1, b1), (W2, b2) = [
        (layer.weight.detach().numpy(), layer.bias.detach().numpy())
        for layer in (model[0], model[4])
    ]
    gain, bias = model[1].weight.detach().numpy(), model[1].bias.detach().numpy()
    first = x.numpy() @ W1.T + b1
    second = []
    for H in np.split(first, np.cumsum(sizes)[:-1]):
        H = (H - H.mean(0)) / np.sqrt(H.var(0) + 1e-5) * gain + bias
        second.append(relu(H) @ W2.T + b2)
    return first, np.concatenate(second)


@pytest.mark.parametrize("sizes", [(40,), (10, 10, 10, 10), (25, 13, 2)])
def test_statistics_are_numpys_over_all_examples(sizes: tuple[int, ...]) -> None:
    model, x = mlp(), 5 * drawn(40, 4).sort(dim=0).values  # sorted: the batches' means differ
    first, second = forward(model, x, sizes)
    refresh(model, cut(x, *sizes))
    for norm, H in ((model[1], first), (model[5], second)):
        close(norm.running_mean, H.mean(0))
        close(norm.running_var, H.var(0, ddof=1))
        assert int(norm.num_batches_tracked) == len(sizes)


def test_one_batch_is_torchs_momentum_of_one() -> None:
    """In evaluation the model then gives on these examples what it gave in training."""
    model, x = convolutional(), drawn(6, 2, 8, 8)
    refresh(model, [x])
    by_torch = deepcopy(model)
    for norm in batch_norms(by_torch).values():
        norm.momentum = 1.0
    by_torch.train()(x)
    for ours, theirs in zip(statistics(model), statistics(by_torch), strict=True):
        close(ours, theirs)


def test_where_torchs_update_is_exact_it_agrees_and_where_not_it_is_biased() -> None:
    """Equal batches with equal means: only Bessel's correction differs, n/(n-1) in each batch."""
    x = drawn(8, 3)
    model = unsettled(nn.Sequential(nn.BatchNorm1d(3)))
    theirs = deepcopy(model)
    for batches, exact in (([x, x, x], True), ([x, x + 10], False), (cut(x, 6, 2), False)):
        update_bn(batches, theirs)
        refresh(model, batches)
        every = torch.cat(batches)
        close(model[0].running_var, every.var(dim=0))
        close(model[0].running_mean, every.mean(dim=0))
        bessel = (len(every) - 1) / len(every) * 8 / 7
        gap = (theirs[0].running_var / (model[0].running_var * bessel) - 1).abs().max()
        assert float(gap) <= 1e-12 if exact else float(gap) > 0.1


def test_large_means_do_not_drown_the_variance() -> None:
    """A sum of squares would: at a mean of 10⁶ and σ of 10⁻² it has no digit left in float64."""
    model = nn.Sequential(nn.BatchNorm1d(3)).double()
    x = 1e6 + 1e-2 * drawn(60, 3)
    refresh(model, cut(x, 7, 30, 23))
    close(model[0].running_var, x.numpy().var(axis=0, ddof=1), 1e-7)  # x itself has 10 digits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [2, 500])
def test_narrow_models(dtype: torch.dtype, size: int) -> None:
    """Only what is stored is rounded, by half a last digit; float32 batches by less than one more."""
    model = nn.Sequential(nn.BatchNorm1d(30)).to(dtype)
    x = (drawn(2000, 30) + 3).to(dtype)
    refresh(model, cut(x, *[size] * (2000 // size)))
    exact, last = x.double().numpy(), torch.finfo(dtype).eps
    digits = 0.51 * last if dtype is torch.bfloat16 else last
    for stored, expected in (
        (model[0].running_mean, exact.mean(axis=0)),
        (model[0].running_var, exact.var(axis=0, ddof=1)),
    ):
        np.testing.assert_allclose(stored.double(), expected, rtol=digits, atol=0)


def test_nothing_else_changes() -> None:
    model, x = mlp(), drawn(20, 4)
    model.train()
    model[1].eval()  # a frozen one in a model in training
    model(x).sum().backward()
    model.append(nn.BatchNorm1d(2, track_running_stats=False).double())
    before = everything(model)
    refresh(model, [x])
    after = everything(model)
    assert not same(before, after)
    for name in before["state"]:
        if "running" in name or "tracked" in name:
            before["state"][name] = after["state"][name]
    assert same(before, after)


class Noisy(nn.Module):
    """Draws numbers whatever the mode, and uses its layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.unused = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        torch.rand(1)
        return self.norm(self.norm(x) + 1)  # type: ignore[no-any-return]


def test_a_layer_that_is_used_twice_and_one_that_is_not_used() -> None:
    model, x = unsettled(Noisy()), drawn(20, 3)
    before, unused = torch.get_rng_state(), model.unused.running_mean.clone()
    H = x.numpy()
    second = (H - H.mean(0)) / np.sqrt(H.var(0) + 1e-5) * model.norm.weight.detach().numpy()
    both = np.concatenate([H, second + model.norm.bias.detach().numpy() + 1])
    refresh(model, [x])
    close(model.norm.running_mean, both.mean(0))
    close(model.norm.running_var, both.var(0, ddof=1))
    assert torch.equal(model.unused.running_mean, unused)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("in_place", [False, True])
def test_compiled_models(in_place: bool) -> None:
    """Compiled code, made before, would not look at what is measured."""
    model, x = mlp().eval(), drawn(20, 4)
    plain = deepcopy(model)
    compiled: Any = model if in_place else torch.compile(model, backend="eager")
    if in_place:
        model.compile(backend="eager")
    with torch.no_grad():
        compiled(x)
    refresh(compiled, [x])
    refresh(plain, [x])
    assert same(statistics(model), statistics(plain))
    torch.testing.assert_close(compiled(x), plain(x), rtol=1e-12, atol=1e-12)


def test_synchronized_batch_norms() -> None:
    model = nn.SyncBatchNorm.convert_sync_batchnorm(mlp())
    plain, x = mlp(), drawn(20, 4)
    refresh(model, [x])
    refresh(plain, [x])
    assert same(statistics(model), statistics(plain))


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "there are no batches.*iterator that is used up.*pass a DataLoader"),
        (cut(drawn(21, 4), 20, 1), r"batch norm '1' got .* \[1, 6\].*drop_last=True"),
    ],
)
def test_batches_without_statistics_leave_the_model_as_it_was(batches: Any, message: str) -> None:
    model = mlp()
    before = everything(model)
    with pytest.raises(SettingError, match=message):
        refresh(model, iter(batches))
    assert same(everything(model), before)


@pytest.mark.parametrize(
    ("model", "batches", "message"),
    [
        (mlp(), [drawn(20, 4), drawn(20, 3)], "shapes cannot be multiplied"),
        (nn.Sequential(nn.BatchNorm1d(4).double()), [drawn(20, 3)], "weight"),
    ],
    ids=["linear layer", "batch norm"],
)
def test_an_error_in_the_model_leaves_it_as_it_was(
    model: nn.Module, batches: list[Tensor], message: str
) -> None:
    before = everything(model)
    with pytest.raises(RuntimeError, match=message):
        refresh(model, batches)
    assert same(everything(model), before)


def test_averaged_weights_get_their_own_statistics() -> None:
    """SWA, then refreshed: as torch's AveragedModel, with statistics of all examples at once."""
    x = drawn(48, 4)
    data = TensorDataset(x, x[:, :2] * 2)
    ours, theirs = mlp(), mlp()
    ours[3].p = theirs[3].p = 0.0
    averaged = AveragedModel(theirs)
    rule = chain(rules.sgd(lr=0.05), stochastic_weight_average(start=2, every=3))
    optimizer = Optimizer(ours.parameters(), rule)
    plain = torch.optim.SGD(theirs.parameters(), lr=0.05)
    for model, stepper in ((ours, optimizer), (theirs, plain)):
        step = 0
        for _ in range(3):
            for inputs, targets in DataLoader(data, batch_size=12):
                stepper.zero_grad()
                (model(inputs) - targets).square().mean().backward()
                stepper.step()
                step += 1
                if model is theirs and step > 2 and (step - 2) % 3 == 0:
                    averaged.update_parameters(theirs)
    optimizer.eval()
    stale = statistics(ours)
    refresh(ours, DataLoader(data, batch_size=48))
    for norm in batch_norms(averaged).values():
        norm.momentum = 1.0
    averaged.train()(x)
    for mine, other in zip(ours.parameters(), averaged.parameters(), strict=True):
        close(mine.detach(), other.detach())
    for mine, other, old in zip(statistics(ours), statistics(averaged), stale, strict=True):
        close(mine, other)
        assert float((mine - old).abs().max()) > 1e-2
