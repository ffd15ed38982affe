"""Where numbers that are not finite come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import floats, measurable, sizes
from ravine.diagnostics.look import Look, Stride

QUANTITIES = {
    "first_non_finite_output": (
        "share of a layer's outputs that are NaN or infinite; of the first such layer in order of "
        "execution alone"
    ),
    "first_non_finite_parameter": (
        "share of a parameter's elements that are NaN or infinite before the step; of the first such "
        "parameter alone"
    ),
    "last_non_finite_gradient": (
        "share of the elements of a step's gradient that are NaN or infinite; of the last such "
        "parameter alone, the one nearest to the loss"
    ),
}


@final
class Finite(Instrument):
    """Where NaN and infinite numbers first appear; nothing while all is finite.

    The step is that of the reading, the origin its place. In a forward pass they spread to the layers
    after; in a backward pass to the layers before, so of gradients the last one is named.
    """

    name = "finite"
    quantities = QUANTITIES
    cost = "one pass over the outputs of all layers, the parameters and their gradients"
    passes = 0.1

    def look(self, look: Look) -> Readings:
        """At most two numbers."""
        outputs = {la.name: la.output for la in look.layers if measurable(la.output)}
        return {
            **_first("first_non_finite_output", outputs),
            **_first("first_non_finite_parameter", look.params),
        }

    def stride(self, stride: Stride) -> Readings:
        """At most one number."""
        from_the_loss = {n: stride.gradients[n] for n in reversed(list(stride.gradients))}
        return _first("last_non_finite_gradient", from_the_loss)


def _first(quantity: str, tensors: Mapping[str, Tensor]) -> Readings:
    """The first tensor that is not finite."""
    for place, size in sizes(tensors).items():
        if not math.isfinite(size):
            wrong = (~tensors[place].detach().to_dense().isfinite()).double()
            return {Name(quantity, place): floats([wrong.mean()])[0]}
    return {}
