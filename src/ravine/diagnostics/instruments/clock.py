"""Time per step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import final

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.look import Stride

QUANTITIES = {
    "seconds_per_step": (
        "seconds between the ends of two measured steps, over the steps between them: with data, "
        "measuring and whatever else the loop does"
    )
}


@final
class Clock(Instrument):
    """Seconds per step, from the end of the step that was measured last; nothing at the first one.

    A GPU is not waited for: single steps may seem short, many together do not.

    Args:
        now: seconds since some fixed moment.
    """

    name = "clock"
    quantities = QUANTITIES
    cost = "nothing"
    passes = 0.0

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        self._now = now
        self._last: tuple[int, float] | None = None

    def stride(self, stride: Stride) -> Readings:
        """One number."""
        last, self._last = self._last, (stride.step, self._now())
        if last is None or stride.step <= last[0]:
            return {}
        return {Name("seconds_per_step"): (self._last[1] - last[1]) / (stride.step - last[0])}
