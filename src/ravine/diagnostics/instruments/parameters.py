"""Parameters that are not finite, not used, or not trained."""

from __future__ import annotations

import math
from typing import final

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import sizes
from ravine.diagnostics.look import Look, Stride

QUANTITIES = {
    "largest_parameter": "largest |θ| of the trainable parameters that are finite",
    "non_finite_parameter": "1, at each parameter that holds NaN or infinite numbers",
    "frozen_parameters": "share of the model's parameters, by elements, that are not trained",
    "unused_parameter": "1 if the step's gradient of the parameter is all 0, or there is none, else 0",
}


@final
class Parameters(Instrument):
    """State of the parameters before a step, and which of them the step had a gradient for.

    Not trained are those that require no gradient and those that the optimizer was not given.
    """

    name = "parameters"
    quantities = QUANTITIES
    cost = "one pass over the parameters, one over their gradients"
    passes = 0.1

    def look(self, look: Look) -> Readings:
        """Two numbers, and one for each parameter that is not finite."""
        every = sum(p.numel() for p in look.model.parameters())
        trained = sum(p.numel() for p in look.params.values())
        reach = sizes(look.params)
        wrong = [name for name, size in reach.items() if not math.isfinite(size)]
        finite = [size for size in reach.values() if math.isfinite(size)]
        return {
            Name("largest_parameter"): max(finite, default=0.0),
            Name("frozen_parameters"): 1 - trained / every if every else 0.0,
            **{Name("non_finite_parameter", name): 1.0 for name in wrong},
        }

    def stride(self, stride: Stride) -> Readings:
        """One number a parameter."""
        reach = sizes(stride.gradients)
        return {
            Name("unused_parameter", name): float(reach.get(name, 0.0) == 0)
            for name in stride.after
        }
