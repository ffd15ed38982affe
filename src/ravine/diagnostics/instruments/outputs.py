"""What a model returns: the same for all examples, probabilities already, cut off."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import (
    below,
    floats,
    mean_and_std,
    measurable,
    std_over_examples,
    wide,
    zeros,
)
from ravine.diagnostics.instruments._units import usual_axis
from ravine.diagnostics.look import Look

ENDINGS = {
    "SoftmaxBackward0": "ends_in_softmax",
    "LogSoftmaxBackward0": "ends_in_log_softmax",
    "SigmoidBackward0": "ends_in_sigmoid",
    "TanhBackward0": "ends_in_tanh",
    "ReluBackward0": "ends_in_relu",
}
"""torch's name of what made the output -> quantity."""

RESHAPING = (
    *("View", "UnsafeView", "ReshapeAlias", "Alias", "Clone", "Squeeze", "Unsqueeze"),
    *("Transpose", "T", "Permute", "ToCopy"),
)
"""torch's names of what leaves values as they are."""

QUANTITIES = {
    "output_mean": "mean of the outputs, in their units",
    "output_std": "standard deviation of an output over the examples: root mean square over the units",
    "output_spread": (
        "output_std over the standard deviation of the outputs within an example (root mean square "
        "over the examples)"
    ),
    "output_width": "outputs of an example: length of the second axis of an image, of the last axis "
    "of anything else, 1 for [batch]",
    "output_sums_to_one": "1 if all outputs are in [0, 1] and sum to 1 over an axis, else 0",
    "negative_outputs": "share of the outputs below 0",
    "zero_outputs": "share of the outputs that are exactly 0",
    "ends_in_softmax": "1 if the last operation is a softmax, else 0",
    "ends_in_log_softmax": "1 if the last operation is a log-softmax, else 0",
    "ends_in_sigmoid": "1 if the last operation is a sigmoid, else 0",
    "ends_in_tanh": "1 if the last operation is a tanh, else 0",
    "ends_in_relu": "1 if the last operation is a ReLU, else 0",
}


@final
class Outputs(Instrument):
    """The model's first output on this minibatch.

        spread = √ mean_j Var_i y_ij / √ mean_i Var_j y_ij        i: examples; j: units, positions

    0: all examples get the same output. It is left out where an example has one output alone, or
    where all that it has are equal.

    The last operation is read off the graph, so that modules and functions are told alike; views,
    axes exchanged and copies in another dtype behind it do not count. It is unknown, and the five
    readings are left out, where a compiled model hides it.
    """

    name = "outputs"
    quantities = QUANTITIES
    cost = "about ten passes over the output"
    passes = 0.1

    @torch.no_grad()
    def look(self, look: Look) -> Readings:
        """At most twelve numbers."""
        y = look.output
        if y is None or not measurable(y):
            return {}
        negative, zero = below(y, 0).mean(), zeros(y).mean()
        found = {
            Name("output_mean"): mean_and_std(y)[0],
            Name("output_sums_to_one"): _sums_to_one(y),
            Name("negative_outputs"): negative,
            Name("zero_outputs"): zero,
            **(_spread(wide(y)) if y.ndim > 0 and len(y) > 1 else {}),
        }
        return {
            **dict(zip(found, floats(found.values()), strict=True)),
            Name("output_width"): float(_width(y)),
            **_ending(y),
        }


def _spread(y: Tensor) -> dict[Name, Tensor]:
    """Between the examples, and relative to what is within one."""
    rows = y.reshape(len(y), -1)
    between = std_over_examples(rows).square().mean().sqrt()
    within = std_over_examples(rows.T).square().mean().sqrt()
    found = {Name("output_std"): between}
    if rows.shape[1] > 1 and within != 0:
        found[Name("output_spread")] = between / within
    return found


def _width(y: Tensor) -> int:
    return y.shape[usual_axis(y.ndim)] if y.ndim > 1 else 1


def _sums_to_one(y: Tensor) -> Tensor:
    """Over the last axis, or over the second one, where torch's costs expect the classes."""
    rounding = math.sqrt(torch.finfo(y.dtype).eps)
    y = wide(y)
    inside = (y.amin() >= 0) & (y.amax() <= 1 + rounding)
    sums = [
        ((y.sum(axis) - 1).abs() <= rounding).all() for axis in {1, y.ndim - 1} if 0 < axis < y.ndim
    ]
    return inside & torch.stack(sums).any() if sums else torch.zeros_like(inside)


def _ending(y: Tensor) -> Readings:
    node = y.grad_fn
    while (
        node is not None and node.name().rstrip("0123456789").removesuffix("Backward") in RESHAPING
    ):
        node = node.next_functions[0][0]
    if node is None or node.name().startswith("Compiled"):
        return {}
    return {Name(ending): float(ENDINGS.get(node.name()) == ending) for ending in ENDINGS.values()}
