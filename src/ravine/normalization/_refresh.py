"""Running statistics recomputed from data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from ravine.errors import SettingError
from ravine.normalization._forms import Moments, has_variance, moments
from ravine.normalization._layers import batch_norms, watched


def refresh(model: nn.Module, batches: Iterable[Tensor | Sequence[Tensor]]) -> None:
    r"""Recompute the running statistics of every batch norm under the current weights.

        μ = Σ H / n      σ² = Σ (H - μ)² / (n - 1)      over all n values of a channel in all batches

    To be called after weights were averaged or replaced, before the model is evaluated or folded.

    `torch.optim.swa_utils.update_bn` takes the mean over batches of each batch's mean and variance.
    That counts examples of a small last batch more than others, and leaves the variance between the
    batches' means out: for scikit-learn's digits sorted by class, in batches of 64, up to 61 % of
    it. Here the batches are pooled, so for a first batch norm how the examples are cut into batches
    does not matter. For deeper ones it does, because in this pass, as in training, the layers before
    normalize each minibatch by itself: after one more layer the variances differ from those of one
    large batch by up to 26 % if the digits are sorted and by 2 % if shuffled. So pass shuffled
    examples, in batches as large as fit.

    Layers other than batch norms are in evaluation form. (update_bn leaves dropout on, which changes
    the variance, and is off when the statistics are used.)

    Only running_mean, running_var and num_batches_tracked (the number of batches here) change.
    Batch norms that keep no running statistics, or that the batches do not reach, are left alone.

    Args:
        model: what `batches` go into.
        batches: inputs [examples, ...], or (inputs, ...) whose first is used; where the model is.
            Gone through once.

    Raises:
        SettingError: no batches, or a batch with one value per channel; the model is as it was.

    Source: Chan, Golub & LeVeque, "Algorithms for Computing the Sample Variance", 1983, for the
        pooling; Ioffe & Szegedy 2015, algorithm 2, lines 8-10.
    """
    layers = {name: m for name, m in batch_norms(model).items() if m.running_mean is not None}
    pooled: dict[str, Moments] = {}
    seen = 0

    def see(name: str, layer: BatchNorm, H: Tensor) -> None:
        _refuse_single(name, H)
        now = _in_double(moments(H))
        pooled[name] = _together(pooled[name], now) if name in pooled else now

    with watched(model, see):
        for batch in batches:
            model(batch if isinstance(batch, Tensor) else batch[0])
            seen += 1
    if seen == 0:
        raise SettingError(
            "there are no batches to recompute running statistics from (an iterator that is used "
            "up?): pass a DataLoader or a list of inputs."
        )
    for name in layers.keys() & pooled.keys():
        _write(layers[name], pooled[name], seen)


def _together(a: Moments, b: Moments) -> Moments:
    """The statistics of both samples; sums of squares about each mean, and between the means."""
    count = a.count + b.count
    apart = b.mean - a.mean
    squares = a.count * a.variance + b.count * b.variance + apart**2 * (a.count * b.count / count)
    return Moments(count, a.mean + apart * (b.count / count), squares / count)


def _in_double(found: Moments) -> Moments:
    """In float64 and on the CPU, for not every device has it; these are [channels] alone."""
    return replace(found, mean=found.mean.cpu().double(), variance=found.variance.cpu().double())


def _write(layer: BatchNorm, found: Moments, batches: int) -> None:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.copy_(found.mean)
    layer.running_var.copy_(found.variance * (found.count / (found.count - 1)))
    if layer.num_batches_tracked is not None:
        layer.num_batches_tracked.fill_(batches)


def _refuse_single(name: str, H: Tensor) -> None:
    if not has_variance(H):
        raise SettingError(
            f"the batch norm {name!r} got a batch of one value per channel, {list(H.shape)}, which "
            "has no variance: use larger batches, and drop a last one of one example "
            "(DataLoader(..., drop_last=True))."
        )
