"""What batch norms make of the minibatches."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import floats
from ravine.diagnostics.look import Look
from ravine.normalization._inspect import _record

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
    """Both forms of every batch norm on what passed through it, by use.

    Of each channel as `ravine.normalization.inspect` has it; here the root mean square over the
    channels. Running statistics are those after the forward pass.
    """

    name = "normalization"
    quantities = QUANTITIES
    cost = "about ten passes over the inputs of batch norms"
    passes = 0.5

    @torch.no_grad()
    def look(self, look: Look) -> Readings:
        """Four numbers a batch norm."""
        found: dict[Name, Tensor] = {}
        known: Readings = {}
        for layer in look.layers:
            norm, H = layer.module, layer.input
            if not isinstance(norm, BatchNorm) or H is None:
                continue
            record = _record(layer.name, norm, H)
            found[Name("batch_norm_gap", layer.name)] = record.gap.square().mean().sqrt()
            found[Name("batch_norm_constant", layer.name)] = record.constant.float().mean()
            known[Name("batch_norm_count", layer.name)] = float(record.count)
            trains = norm.training or norm.running_mean is None
            known[Name("batch_norm_trains", layer.name)] = float(trains)
        return dict(zip(found, floats(found.values()), strict=True)) | known
