"""What layers put out: scale, zeros, dead units, saturation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._functions import with_functions
from ravine.diagnostics.instruments._numbers import (
    below,
    floats,
    mean_and_std,
    measurable,
    wide,
    zeros,
)
from ravine.diagnostics.instruments._units import kind_among, others, unit_axes
from ravine.diagnostics.look import Layer, Look

SATURATED = 0.05
"""An output is saturated where the derivative is below this share of its largest value: beyond ±2.2
for tanh (|y| > 0.975), beyond ±4.4 for the sigmoid (y outside 0.013 ... 0.987)."""

RECTIFIERS = (
    *(nn.ReLU, nn.ReLU6, nn.Threshold, nn.GELU, nn.Hardswish),
    *(nn.Hardshrink, nn.Softshrink),
)
"""Activations that are exactly 0, with derivative 0, in a part of their domain."""

QUANTITIES = {
    "activation_mean": "mean of a layer's outputs, in their units",
    "activation_std": "standard deviation of a layer's outputs, in their units",
    "zero_activations": "share of a rectifier's outputs that are exactly 0",
    "dead_units": (
        "share of a rectifier's units (channels) that are 0 for the whole minibatch, at all positions"
    ),
    "saturated_activations": (
        f"share of a squashing layer's outputs whose derivative is below {SATURATED} of its largest "
        "value; of a softmax: share of rows"
    ),
}


@final
class Activations(Instrument):
    """Scale, zeros and saturation of the outputs of every layer, by use.

    Derivatives are computed from outputs y, relative to their largest value:

        sigmoid    4y(1-y)          tanh         1 - y²
        softsign   (1-|y|)²         hardtanh, hardsigmoid    1 inside the bounds, 0 at them
        softmax    (1 - Σy²) / (1 - 1/n)         the trace of its Jacobian; Σ over the n classes

    Of activations that are called as functions ReLU, tanh and sigmoid are seen, named after the layer
    before them; gates inside recurrent layers have an instrument of their own. Where a layer works in
    place, the layer before it shows its values. A unit seen at one value alone (one example, no
    positions) is not called dead.
    """

    name = "activations"
    quantities = QUANTITIES
    cost = "three passes over the outputs of each layer, six over those of activations"
    passes = 0.2

    @torch.no_grad()
    def look(self, look: Look) -> Readings:
        """Two numbers a layer, and one or two an activation."""
        found: dict[Name, Tensor] = {}
        layers = with_functions(look)
        for layer, axis in zip(layers, unit_axes(layers), strict=True):
            if measurable(layer.output):
                found |= (_scale(layer) if layer in look.layers else {}) | _shape(layer, axis)
        return dict(zip(found, floats(found.values()), strict=True))


def _scale(layer: Layer) -> dict[Name, Tensor]:
    mean, std = mean_and_std(layer.output)
    return {Name("activation_mean", layer.name): mean, Name("activation_std", layer.name): std}


def _shape(layer: Layer, axis: int) -> dict[Name, Tensor]:
    """What the kind of activation asks for."""
    if isinstance(layer.module, RECTIFIERS):
        return _zeros(layer, axis)
    kind = kind_among(layer.module, SLOPES)
    if kind is None:
        return {}
    slope = SLOPES[kind](wide(layer.output), layer.module)
    return {Name("saturated_activations", layer.name): below(slope, SATURATED).mean()}


def _zeros(layer: Layer, axis: int) -> dict[Name, Tensor]:
    y = layer.output
    found = zeros(y)
    readings = {Name("zero_activations", layer.name): found.mean()}
    if y.ndim > 1 and y.numel() > y.shape[axis]:
        always = found.amin(others(y.ndim, axis))
        readings[Name("dead_units", layer.name)] = always.mean()
    return readings


def _sigmoid(y: Tensor, module: Any) -> Tensor:
    return 4 * y * (1 - y)


def _tanh(y: Tensor, module: Any) -> Tensor:
    return 1 - y * y


def _softsign(y: Tensor, module: Any) -> Tensor:
    return (1 - y.abs()).square()


def _hardtanh(y: Tensor, module: Any) -> Tensor:
    room: Tensor = (y - module.min_val).minimum(module.max_val - y)
    return room.sign()


def _hardsigmoid(y: Tensor, module: Any) -> Tensor:
    return y.minimum(1 - y).sign()


def _softmax(y: Tensor, module: Any) -> Tensor:
    """Two classes or more have 1 - 1/n ≥ 1/2; of one class the trace is 0, whatever the divisor."""
    # Without an axis torch takes the second one of two, which is the last.
    axis = -1 if module.dim is None else module.dim
    return _trace(y, axis)


def _softmax_of_channels(y: Tensor, module: Any) -> Tensor:
    return _trace(y, -3)


def _trace(y: Tensor, axis: int) -> Tensor:
    largest = max(1 - 1 / y.shape[axis], 0.5)
    return (1 - y.square().sum(axis)) / largest


SLOPES: dict[type[nn.Module], Callable[[Tensor, Any], Tensor]] = {
    nn.Sigmoid: _sigmoid,
    nn.Tanh: _tanh,
    nn.Softsign: _softsign,
    nn.Hardtanh: _hardtanh,
    nn.Hardsigmoid: _hardsigmoid,
    nn.Softmax: _softmax,
    nn.Softmax2d: _softmax_of_channels,
}
"""Squashing layers -> their derivative at outputs y, in shares of its largest value."""
