"""A watch that is entered by one call and left by another, as callbacks do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import final

from torch import nn, optim

from ravine.diagnostics.instrument import Instrument
from ravine.diagnostics.instruments import standard
from ravine.diagnostics.watch.watching import Watch


@final
class Holding:
    """Holds the watch of the present run, and after it that of the last one.

    Args:
        instruments: makes what to measure with, afresh for every run: instruments remember.
        budget: share of the run's own time that measuring may take.
    """

    def __init__(self, instruments: Callable[[], Sequence[Instrument]] | None, budget: float):
        self._instruments = standard if instruments is None else instruments
        self._budget = budget
        self._entered = False
        self.watch: Watch | None = None

    def enter(self, model: nn.Module, optimizer: optim.Optimizer) -> None:
        """A run begins; one that was never said to have ended is left."""
        self.leave()
        self.watch = Watch(model, optimizer, instruments=self._instruments(), budget=self._budget)
        self.watch.__enter__()
        self._entered = True

    def leave(self) -> None:
        """The run is over; nothing of the watch is left behind in the model, optimizer or torch."""
        if self.watch is not None and self._entered:
            self.watch.__exit__(None, None, None)
            self._entered = False

    def warn_if_blind(self, advice: str) -> None:
        """Say so if the run passed without a loss that came of the model."""
        if self.watch is not None and not len(self.watch.history.series("loss")):
            warnings.warn(f"no loss of the watched model was seen; {advice}", stacklevel=3)
