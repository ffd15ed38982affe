"""The scale of what goes into a model."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import (
    floats,
    largest,
    mean_and_std,
    measurable,
    nans,
    std_over_examples,
    wide,
)
from ravine.diagnostics.instruments._units import CHANNELS_SECOND, FEATURES_LAST
from ravine.diagnostics.look import Look

QUANTITIES = {
    "input_mean": "mean of the inputs, in their units",
    "input_std": "standard deviation of the inputs, in their units",
    "largest_input": "largest |x|, in the inputs' units",
    "input_scales": (
        "largest standard deviation of a feature over the median one, of the features that vary"
    ),
    "constant_inputs": "share of features that have one value in the whole minibatch",
    "nan_inputs": "share of the inputs that are NaN",
}


@final
class Inputs(Instrument):
    """Scale of the model's first input on this minibatch.

    A feature is what the first weights tell apart: a channel, at all positions, if the first layer
    that has axes of its own takes channels; the last axis if that layer takes the input as it is;
    each position by itself where the input is flattened before it. Where the model converts integers
    to real numbers, its first layer's input counts. Inputs that are indices are left out, and
    so are the spread of scales and constant features where each feature has one value alone.
    """

    name = "inputs"
    quantities = QUANTITIES
    cost = "about eight passes over the inputs"
    passes = 0.1

    @torch.no_grad()
    def look(self, look: Look) -> Readings:
        """At most six numbers."""
        x = _real_inputs(look)
        if x is None:
            return {}
        mean, std = mean_and_std(x)
        found = {
            Name("input_mean"): mean,
            Name("input_std"): std,
            Name("largest_input"): largest(x),
            Name("nan_inputs"): nans(x).mean(),
        }
        features = _by_feature(wide(x), look)
        if len(features) > 1:
            constant = features.amin(0) == features.amax(0)
            found[Name("constant_inputs")] = constant.to(features.dtype).mean()
            scales = std_over_examples(features)[~constant]
            if len(scales) > 0:
                found[Name("input_scales")] = scales.max() / scales.median()
        return dict(zip(found, floats(found.values()), strict=True))


def _real_inputs(look: Look) -> Tensor | None:
    first = look.layers[0].input if look.layers else None
    return next((x for x in (look.inputs, first) if x is not None and measurable(x)), None)


def _by_feature(x: Tensor, look: Look) -> Tensor:
    """[values, features]."""
    for layer in look.layers:
        if isinstance(layer.module, CHANNELS_SECOND) and x.ndim > 2:
            return x.movedim(1, -1).flatten(0, -2)
        if isinstance(layer.module, FEATURES_LAST):
            taken = layer.input
            if (
                taken is not None
                and taken.ndim == x.ndim
                and not isinstance(layer.module, nn.Embedding)
            ):
                return x.flatten(0, -2)
            break
    return x.reshape(len(x), -1) if x.ndim > 0 else x.reshape(1, 1)
