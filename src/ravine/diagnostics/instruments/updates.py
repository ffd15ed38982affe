"""How far the optimizer moves."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import floats, wide
from ravine.diagnostics.look import Stride

LAST = 64
"""Lengths of measured steps that are remembered."""
ENOUGH = 8
"""Lengths from which on their median says what is usual."""

QUANTITIES = {
    "update_ratio": "|Δθ| / |θ| of a parameter, θ before the step",
    "step_length": "|Δθ| over all parameters, in their units",
    "step_to_median": f"step_length divided by the median of the last {LAST} measured before it",
    "distance_from_start": "|θ - θ₀| over all parameters, in their units; θ₀: before the first "
    "measured step",
}


@final
class Updates(Instrument):
    """Length of the steps, per parameter and over all of them, and of the way gone.

    A parameter that is 0 before the step has no ratio. Lengths that are not finite are not
    remembered; the ratio to the median starts when 8 are.

    Memory: one copy of the trainable parameters.
    """

    name = "updates"
    quantities = QUANTITIES
    cost = "five passes over the parameters, and a copy of them in memory"
    passes = 0.2

    def __init__(self) -> None:
        self._start: dict[str, Tensor] = {}
        self._lengths: deque[float] = deque(maxlen=LAST)

    @torch.no_grad()
    def stride(self, stride: Stride) -> Readings:
        """One number a parameter, and three of the whole."""
        for name in stride.after.keys() - self._start.keys():
            self._start[name] = stride.before[name].detach().clone()
        names = list(stride.after)
        numbers = floats(
            [
                *_distances(stride.after, stride.before),
                *_distances(stride.after, self._start),
                *(torch.linalg.vector_norm(wide(stride.before[name])) for name in names),
            ]
        )
        n = len(names)
        steps, ways, sizes = numbers[:n], numbers[n : 2 * n], numbers[2 * n :]
        readings = {
            Name("update_ratio", name): step / size
            for name, step, size in zip(names, steps, sizes, strict=True)
            if size != 0
        }
        length = math.hypot(*steps)
        readings[Name("step_length")] = length
        readings[Name("distance_from_start")] = math.hypot(*ways)
        return readings | self._compared(length)

    def _compared(self, length: float) -> Readings:
        """The length against the usual one, which it then becomes a part of."""
        usual = statistics.median(self._lengths) if len(self._lengths) >= ENOUGH else 0.0
        if math.isfinite(length):
            self._lengths.append(length)
        return {Name("step_to_median"): length / usual} if usual > 0 else {}


def _distances(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> list[Tensor]:
    """|θ - θ'| of each parameter."""
    return [torch.linalg.vector_norm(wide(here[n]) - wide(there[n])) for n in here]
