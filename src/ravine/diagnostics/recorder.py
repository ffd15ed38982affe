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
"""First steps of a run, and steps after an anomaly, at which all cheap instruments measure; the time
is borrowed from the budget of the steps that follow."""

CHEAP = 5.0
"""Backward passes up to which an instrument counts as cheap."""

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

    An instrument saves its share of the time that passes, and is due when it can pay for a
    measurement, by what its last ones took. Shares go with the square root of that cost: one that is
    100 times as dear as another measures a tenth as often. With equal shares it would be a hundredth,
    and what cheap ones cannot use would be lost.

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
        self._budget = budget
        self._clock = clock
        self._accounts = {instrument.name: Account() for instrument in self._instruments}
        self._taken: dict[str, float] = {}
        self._step_seconds = 0.0
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
        if self._dense > 0 and instrument.passes <= CHEAP:
            return True
        return account.credit >= self._cost(instrument) > 0

    def _cost(self, instrument: Instrument) -> float:
        """Seconds of a measurement: what the last ones took, or a guess. A backward pass takes about
        half of a step."""
        seconds = self._accounts[instrument.name].seconds
        return instrument.passes * self._step_seconds / 2 if seconds is None else seconds

    def measure(self, instrument: Instrument, step: int, take: Callable[[], Readings]) -> None:
        """Take a measurement, write it down, and charge for it. A failure rests the instrument."""
        account, start = self._accounts[instrument.name], self._clock()
        try:
            self.history.add(step, take())
        except Exception as error:  # whatever it is, training goes on
            lines = str(error).strip().splitlines() or [""]
            account.failure = f"{type(error).__name__}: {lines[0]}"
        self._taken[instrument.name] = self._taken.get(instrument.name, 0.0) + self._clock() - start
        account.measurements += 1

    def passed(self, seconds: float, looking: float) -> None:
        """A step of the run has passed.

        Args:
            seconds: what it took, measuring not counted.
            looking: what measuring took; what no instrument took itself, such as catching the
                layers' outputs, is shared by those that measured.
        """
        self._dense = max(0, self._dense - 1)
        self._settle(looking)
        before = self._step_seconds
        self._step_seconds = seconds if before == 0 else 0.9 * before + 0.1 * seconds
        awake = [i for i in self._instruments if self._accounts[i.name].failure is None]
        weights = {i.name: math.sqrt(self._cost(i)) for i in awake}
        total = sum(weights.values()) or 1.0
        for name, weight in weights.items():
            self._accounts[name].credit += self._budget * seconds * weight / total

    def _settle(self, looking: float) -> None:
        """Charge those that measured in this step."""
        shared = max(0.0, looking - sum(self._taken.values())) / max(1, len(self._taken))
        for name, seconds in self._taken.items():
            account, cost = self._accounts[name], seconds + shared
            account.spent += cost
            account.credit -= cost
            before = account.seconds
            account.seconds = cost if before is None else 0.7 * before + 0.3 * cost
        self._taken = {}

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
