"""What batch norms make of the minibatches."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import floats, wide
from ravine.diagnostics.instruments._units import others
from ravine.diagnostics.look import Look
from ravine.normalization._forms import has_variance

QUANTITIES = {
    "batch_norm_gap": (
        "root mean square of the difference between the training form and the evaluation form of a "
        "batch norm's output, in units of |γ|; NaN where one of the forms is missing"
    ),
    "batch_norm_count": "values per channel of the minibatch: examples times positions",
    "batch_norm_constant": "share of channels whose values in the minibatch are all equal",
    "batch_norm_trains": "1 if the layer normalizes by the minibatch, 0 if by running statistics",
}


@final
class Normalization(Instrument):
    r"""Both forms of every batch norm on what passed through it, by use.

        gap² = σ² (1/σ' - 1/σ'ᵣ)² + ((μ - μᵣ) / σ'ᵣ)²      σ' = √(σ² + δ)

    per channel, with the minibatch's μ, σ² and the running ones, μᵣ, σᵣ², as they are after the
    forward pass; then the root mean square over the channels. The mean square over the minibatch of
    the difference of the forms is this sum, for H - μ has mean 0: the forms need not be computed,
    as `ravine.normalization.inspect` does, which has the same gap.
    """

    name = "normalization"
    quantities = QUANTITIES
    cost = "six passes over the inputs of batch norms"
    passes = 0.1

    @torch.no_grad()
    def look(self, look: Look) -> Readings:
        """Four numbers a batch norm."""
        found: dict[Name, Tensor] = {}
        known: Readings = {}
        for layer in look.layers:
            norm, H = layer.module, layer.input
            if not isinstance(norm, BatchNorm) or H is None:
                continue
            axes = others(H.ndim, 1)
            found[Name("batch_norm_gap", layer.name)] = _gap(norm, wide(H), axes)
            constant = H.amin(axes) == H.amax(axes)
            found[Name("batch_norm_constant", layer.name)] = constant.float().mean()
            known[Name("batch_norm_count", layer.name)] = float(H.numel() // H.shape[1])
            trains = norm.training or norm.running_mean is None
            known[Name("batch_norm_trains", layer.name)] = float(trains)
        return dict(zip(found, floats(found.values()), strict=True)) | known


def _gap(norm: BatchNorm, H: Tensor, axes: list[int]) -> Tensor:
    if norm.running_mean is None or norm.running_var is None or not has_variance(H):
        return H.new_full((), torch.nan)
    mean = H.mean(axes, keepdim=True)
    variance = (H - mean).square().mean(axes)
    running = (norm.running_var + norm.eps).sqrt()
    scale = variance * ((variance + norm.eps).rsqrt() - 1 / running).square()
    shift = ((mean.flatten() - norm.running_mean) / running).square()
    return (scale + shift).mean().sqrt()
