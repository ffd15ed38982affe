"""When to measure, and what it may cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Instrument, Readings

BUDGET = 0.05
"""Share of a run's own time that measuring may take."""

DENSE = 5
"""First steps of a run, and steps after an anomaly, that are measured whatever they cost; the time is
borrowed from the budget of the steps that follow."""

MEMORY = 20
"""Losses that a new one is compared with."""

SPIKE = 3.0
"""A loss so many times as far above the recent ones as these spread is an anomaly."""


@dataclass
class Account:
    """What one instrument has cost, and may cost.

    Attributes:
        credit: seconds that it may still take; negative while it pays back what it borrowed.
        seconds: what a measurement takes, the mean of the last ones; None before the first.
        spent: seconds in all. measurements: how many there were.
        failure: what stopped it, in one line; it rests then.
    """

    credit: float = 0.0
    seconds: float | None = None
    spent: float = 0.0
    measurements: int = 0
    failure: str | None = None


class Recorder:
    """Decides at every step which instruments measure it, and writes down what they say.

    Every instrument has an equal share of the budget. It saves its share of the time that passes and
    is due when it can pay for a measurement, by what its last ones took: cheap ones measure every
    step, dear ones now and then.

    Args:
        instruments: what there is to measure with.
        budget: seconds that measuring may take for each second of the run itself.
        clock: seconds.
    """

    def __init__(
        self, instruments: Sequence[Instrument], budget: float, clock: Callable[[], float]
    ):
        self.history = History()
        self._instruments = list(instruments)
        self._share = budget / max(1, len(self._instruments))
        self._clock = clock
        self._accounts = {instrument.name: Account() for instrument in self._instruments}
        self._dense = DENSE
        self._losses: list[float] = []

    @property
    def accounts(self) -> Mapping[str, Account]:
        """What each instrument has cost, by name."""
        return self._accounts

    def due(self) -> list[Instrument]:
        """The instruments that measure the coming step."""
        return [instrument for instrument in self._instruments if self._is_due(instrument)]

    def _is_due(self, instrument: Instrument) -> bool:
        account = self._accounts[instrument.name]
        if account.failure is not None:
            return False
        return self._dense > 0 or account.seconds is None or account.credit >= account.seconds

    def measure(self, instrument: Instrument, step: int, take: Callable[[], Readings]) -> None:
        """Take a measurement, write it down, and charge for it. A failure rests the instrument."""
        account, start = self._accounts[instrument.name], self._clock()
        try:
            self.history.add(step, take())
        except Exception as error:  # whatever it is, training goes on
            lines = str(error).strip().splitlines() or [""]
            account.failure = f"{type(error).__name__}: {lines[0]}"
        self.charge(instrument, self._clock() - start)
        account.measurements += 1

    def charge(self, instrument: Instrument, seconds: float) -> None:
        """Take what an instrument took from its credit."""
        account = self._accounts[instrument.name]
        account.spent += seconds
        account.credit -= seconds
        before = account.seconds
        account.seconds = seconds if before is None else 0.7 * before + 0.3 * seconds

    def passed(self, seconds: float) -> None:
        """A step of the run has passed and took so long, measuring not counted."""
        self._dense = max(0, self._dense - 1)
        for account in self._accounts.values():
            account.credit += self._share * seconds

    def saw(self, loss: float) -> None:
        """Hear of a loss; after a spike, or the first NaN, the next steps are measured densely."""
        healthy = [value for value in self._losses if math.isfinite(value)]
        if math.isfinite(loss):
            alarm = len(healthy) == MEMORY and _spikes(loss, healthy)
        else:
            alarm = len(healthy) == len(self._losses)
        if alarm:
            self._dense = DENSE
        self._losses = [*self._losses[1 - MEMORY :], loss]


def _spikes(loss: float, recent: Sequence[float]) -> bool:
    ordered = sorted(recent)
    middle = ordered[len(ordered) // 2]
    spread = ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]
    return loss > middle + SPIKE * max(spread, 0.1 * abs(middle))
