"""What batch norms see of a minibatch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from ravine.normalization._forms import (
    Moments,
    evaluation_form,
    has_variance,
    moments,
    training_form,
)
from ravine.normalization._layers import watched


@dataclass(frozen=True)
class Record:
    """One batch norm on one minibatch. Tensors are [channels], on the model's device.

    Attributes:
        name: of the layer in the model.
        examples: in the minibatch.
        count: values per channel, examples times positions. One has no training form.
        mean: μ of what comes in.
        std: σ of what comes in, √(mean square of H - μ).
        running_mean: what the evaluation form uses for μ; None: the layer keeps no running statistics.
        running_std: what the evaluation form uses for σ; None as above.
        gap: root mean square over the minibatch of the difference between the training form and
            the evaluation form of the output, in units of |γ|, which is the standard deviation of
            the training form's output (up to δ). NaN where one of the forms is missing.
        constant: channels in which all values of the minibatch are equal.
    """

    name: str
    examples: int
    count: int
    mean: Tensor
    std: Tensor
    running_mean: Tensor | None
    running_std: Tensor | None
    gap: Tensor
    constant: Tensor


def inspect(model: nn.Module, inputs: Tensor) -> list[Record]:
    r"""Measure what every batch norm of a model sees of one minibatch.

        gap = √ mean (H'_train - H'_test)²      H' = (H - μ) / √(σ² + δ), by the minibatch's μ, σ² in
                                                training, by the running ones at test time

    Batch norms normalize by the minibatch here, as in training, so that each is measured by itself
    and not through the running statistics of those before it; all other layers are in evaluation
    form (dropout is off). One value per channel goes on in the evaluation form.

    Nothing changes: no parameter, gradient, buffer, mode, or random generator.

    Args:
        model: in any mode.
        inputs: a minibatch, [examples, ...], where the model is.

    Returns:
        One record per use of a batch norm, in the order in which they are used.
    """
    records: list[Record] = []

    def see(name: str, layer: BatchNorm, H: Tensor) -> None:
        records.append(_record(name, layer, H))

    with watched(model, see):
        model(inputs)
    return records


def _record(name: str, layer: BatchNorm, H: Tensor) -> Record:
    found = moments(H)
    running = layer.running_mean, layer.running_var
    return Record(
        name=name,
        examples=len(H),
        count=found.count,
        mean=found.mean,
        std=found.variance.sqrt(),
        running_mean=None if running[0] is None else running[0].clone(),
        running_std=None if running[1] is None else running[1].sqrt(),
        gap=_gap(layer, H, found),
        constant=found.variance == 0,
    )


def _gap(layer: BatchNorm, H: Tensor, found: Moments) -> Tensor:
    if layer.running_mean is None or layer.running_var is None or not has_variance(H):
        return torch.full_like(found.mean, torch.nan)
    given = layer.running_mean, layer.running_var
    wide = H.to(found.mean.dtype)
    difference = moments(training_form(wide, layer.eps) - evaluation_form(wide, *given, layer.eps))
    return (difference.mean**2 + difference.variance).sqrt()
