"""Whether the loss is a number."""

from __future__ import annotations

import math
from typing import final

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.look import Look

QUANTITIES = {"loss_finite": "1 if the loss on the minibatch is finite, else 0"}


@final
class Loss(Instrument):
    """Whether J on this minibatch is finite. The loss itself is recorded by the watcher, at every
    step."""

    name = "loss"
    quantities = QUANTITIES
    cost = "nothing"
    passes = 0.0

    def look(self, look: Look) -> Readings:
        """One number."""
        return {Name("loss_finite"): float(math.isfinite(look.loss.item()))}
