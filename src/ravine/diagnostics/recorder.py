"""When to measure, and what it may cost."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
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

ALONG = 0.5
"""Share of its cost that an instrument must have saved to measure a step that another one is due at.
What a measured step takes by itself, such as hanging hooks, is then paid once for many."""

LISTENING = 3.0
"""What listening to a step that is not measured takes, in what a clock inside of it sees: calling hooks
is not seen, nor that what they do throws other things out of the caches."""

LEFT = 0.25
"""Share of the budget that is left for measuring, however dear listening is: of a step of 0.1 ms it
takes about a tenth."""

REST = 16
"""Most steps that pass unasked where none is due. Asking costs as little as 5 µs while the code is in
the caches, but a step throws it out of them: 30 µs then, on a machine where an MLP's step takes
1500."""

MEMORY = 20
"""Losses that a new one is compared with."""

SPIKE = 3.0
"""A loss above all recent ones, and so many times as far above their median as they spread, is an
anomaly."""


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
    measurement, by what its last ones took; those that have saved half of theirs measure along with
    it, and owe the rest. Shares go with the square root of that cost: one that is 100 times as dear as
    another measures a tenth as often. With equal shares it would be a hundredth, and what cheap ones
    cannot use would be lost.

    What is saved is divided among them only when it can make one of them due: on the other steps,
    which are most, there is nothing to do but to add it up.

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
        self._saved = 0.0
        self._enough = 0.0
        self._dense = DENSE
        self._losses: deque[float] = deque(maxlen=MEMORY)
        self._sound = MEMORY

    @property
    def accounts(self) -> Mapping[str, Account]:
        """What each instrument has cost, by name."""
        return self._accounts

    def due(self) -> list[Instrument]:
        """The instruments that measure the coming step."""
        if self._dense == 0 and self._saved < self._enough:
            return []
        self._divide()
        if not any(self._is_due(instrument) for instrument in self._instruments):
            return []
        return [i for i in self._instruments if self._is_due(i) or self._can_pay(i, ALONG)]

    def rest(self) -> int:
        """Steps that may pass before `due` is worth asking again, by the usual time of a step."""
        income = self._budget * self._step_seconds
        if self._dense > 0 or income == 0:
            return 1
        return max(1, int(min(REST, (self._enough - self._saved) / income)))

    def _is_due(self, instrument: Instrument) -> bool:
        if self._can_pay(instrument, 1.0):
            return True
        # the start and one spike may be owed: else a loss that spikes on and on has no budget
        owed = -self._accounts[instrument.name].credit
        may_borrow = owed <= 2 * DENSE * self._cost(instrument)
        dense = self._dense > 0 and instrument.passes <= CHEAP
        return dense and may_borrow and self._awake(instrument)

    def _can_pay(self, instrument: Instrument, share: float) -> bool:
        saved = self._accounts[instrument.name].credit
        return self._awake(instrument) and saved >= share * self._cost(instrument) > 0

    def _awake(self, instrument: Instrument) -> bool:
        return self._accounts[instrument.name].failure is None

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

    def passed(self, seconds: float, looking: float, steps: int = 1) -> None:
        """Steps of the run have passed, of which one at most was measured.

        Args:
            seconds: what they took, measuring not counted.
            looking: what measuring took. What no instrument took itself, such as catching the
                layers' outputs, is shared by those that measured; where none did, it is listening,
                and comes out of what is saved for all.
            steps: how many there were.
        """
        self._dense = max(0, self._dense - 1)
        listening = 0.0 if self._taken else looking
        self._settle(looking)
        before = self._step_seconds
        each = seconds / steps
        self._step_seconds = each if before == 0 else 0.9 * before + 0.1 * each
        income = self._budget * seconds
        self._saved += max(LEFT * income, income - LISTENING * listening)

    def _divide(self) -> None:
        """Give each instrument its share of what was saved, and see how much more makes one due."""
        costs = {i.name: self._cost(i) for i in self._instruments if self._awake(i)}
        weights = {name: math.sqrt(cost) for name, cost in costs.items() if cost > 0}
        total = sum(weights.values())
        for name, weight in weights.items():
            self._accounts[name].credit += self._saved * weight / total
        self._saved = 0.0
        self._enough = min(
            (
                (costs[name] - self._accounts[name].credit) * total / weight
                for name, weight in weights.items()
            ),
            default=math.inf,
        )

    def _settle(self, looking: float) -> None:
        """Charge those that measured in this step."""
        if not self._taken:
            return
        shared = max(0.0, looking - sum(self._taken.values())) / len(self._taken)
        for name, seconds in self._taken.items():
            account, cost = self._accounts[name], seconds + shared
            account.spent += cost
            account.credit -= cost
            before = account.seconds
            account.seconds = cost if before is None else 0.7 * before + 0.3 * cost
        self._taken = {}
        self._enough = 0.0  # costs have changed

    @property
    def usual(self) -> float:
        """The largest of the recent losses; one that is no larger is no anomaly."""
        return max(self._losses, default=-math.inf)

    def saw(self, loss: float) -> bool:
        """Hear of a loss; after a spike, or the first NaN, the next steps are measured densely.

        Returns:
            Whether it was one.
        """
        if not math.isfinite(loss):
            alarm = self._sound >= MEMORY
            self._sound = 0
            self._losses.clear()
        else:
            # most losses are not above all recent ones, and need no statistics
            full = len(self._losses) == MEMORY
            alarm = full and loss > self.usual and _spikes(loss, self._losses)
            self._sound += 1
            self._losses.append(loss)
        if alarm:
            self._dense = DENSE
        return alarm


def _spikes(loss: float, recent: Iterable[float]) -> bool:
    ordered = sorted(recent)
    middle = ordered[len(ordered) // 2]
    spread = ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]
    return loss > middle + SPIKE * max(spread, 0.1 * abs(middle))
