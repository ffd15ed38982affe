"""How large the derivatives are that reach each layer."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import floats, mean_and_std, measurable
from ravine.diagnostics.look import Look

QUANTITIES = {
    "backpropagated_std": "standard deviation of dJ/dy over the elements of a layer's output y",
    "backpropagated_rms": "√ mean (dJ/dy)² over the elements of a layer's output y",
    "backpropagated_norm": "√ Σ (dJ/dy)² over the elements of a layer's output y",
}


@final
class Backpropagated(Instrument):
    """dJ/d(output) of every layer, by use, in order of execution.

    Outputs that the loss does not depend on, or that carry no gradient, are left out. The root mean
    square is of use where the deviation is not: a loss that is linear in the outputs has the same
    derivative in all of them. The norm compares layers of different sizes: what keeps lengths, such as
    a reshaping, keeps it.
    """

    name = "backpropagated"
    quantities = QUANTITIES
    cost = "one backward pass, and memory for the derivatives of all outputs at once"
    passes = 1.5
    differentiates = True

    def look(self, look: Look) -> Readings:
        """Three numbers a layer."""
        layers = [la for la in look.layers if measurable(la.output) and la.output.requires_grad]
        if not layers:
            return {}
        grads = torch.autograd.grad(
            look.loss, [layer.output for layer in layers], retain_graph=True, allow_unused=True
        )
        found: dict[Name, Tensor] = {}
        for layer, grad in zip(layers, grads, strict=True):
            if grad is not None:
                mean, std = mean_and_std(grad)
                found[Name("backpropagated_std", layer.name)] = std
                rms = torch.hypot(mean, std)
                found[Name("backpropagated_rms", layer.name)] = rms
                found[Name("backpropagated_norm", layer.name)] = rms * math.sqrt(grad.numel())
        return dict(zip(found, floats(found.values()), strict=True))
