"""When to measure, and what it may cost."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Instrument, Readings
from ravine.errors import said

BUDGET = 0.05
"""Share of a run's own time that measuring may take."""

DENSE = 5
"""First steps of a run, and steps after an anomaly, at which all cheap instruments measure; the time
is borrowed from the budget of the steps that follow."""

CHEAP = 5.0
"""Backward passes up to which an instrument counts as cheap."""

LIGHT = 0.5
"""Backward passes beyond which three of the first steps are enough: half of them or more is what all
light instruments take together."""

MILESTONE, GROWTH = 10, 1.7
"""Step at which all cheap instruments measure once more, on borrowed time too, and by how much the
next such step is later: 10, 17, 29, 50, 85, 145, ... A run of 200 steps of half a millisecond would
otherwise not be seen again after its start, which 5% take 600 steps to pay. That is log N times in
N steps; and no instrument owes more than 10 of its measurements."""

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


STUCK = 0.25
"""Share of the first losses that is left, and more, where a run may be stuck."""

CREEPS = 0.9
"""The last 20 losses over the 20 before, medians, from which on it is."""

TROUBLE = 0.4
"""Share of a stuck run's own time so far that dear instruments which have not measured yet may borrow
together, for one measurement each. Noise scale and spectrum take about 5 and 50 steps; of 5% they
would measure after 800 and 8000. A run of 300 steps that is stuck costs up to a third more by that;
it is paid back, and over a few thousand steps the budget holds."""


@dataclass
class Account:
    """What one instrument has cost, and may cost.

    Attributes:
        credit: seconds that it may still take; negative while it pays back what it borrowed.
        seconds: what a measurement takes, the mean of the last ones; None before the first.
        spent: seconds in all. measurements: how many there were. settled: steps with any.
        failure: what stopped it, in one line; it rests then.
    """

    credit: float = 0.0
    seconds: float | None = None
    spent: float = 0.0
    measurements: int = 0
    settled: int = 0
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
        self._steps = 0
        self._milestone = MILESTONE
        self._run_seconds = 0.0
        self._lent = 0.0
        self._first: list[float] = []
        self._losses: deque[float] = deque(maxlen=MEMORY)
        self._earlier: deque[float] = deque(maxlen=MEMORY)
        self._sound = MEMORY

    @property
    def accounts(self) -> Mapping[str, Account]:
        """What each instrument has cost, by name."""
        return self._accounts

    def due(self) -> list[Instrument]:
        """The instruments that measure the coming step."""
        lent = self._lends()
        if not lent and self._dense == 0 and self._saved < self._enough:
            return []
        self._divide()
        if not lent and not any(self._is_due(instrument) for instrument in self._instruments):
            return []
        chosen = [i for i in self._instruments if self._is_due(i) or self._can_pay(i, ALONG)]
        return chosen + [instrument for instrument in lent if instrument not in chosen]

    def _lends(self) -> list[Instrument]:
        """Dear instruments that have not measured yet and may borrow for it, as the run is stuck."""
        new = [
            instrument
            for instrument in self._instruments
            if instrument.passes > CHEAP
            and self._accounts[instrument.name].measurements == 0
            and self._awake(instrument)
        ]
        if not new or not self._stuck():
            return []
        chosen, room = [], TROUBLE * self._run_seconds - self._lent
        for instrument in sorted(new, key=lambda instrument: instrument.passes):
            room -= self._cost(instrument)
            if room < 0:
                break
            chosen.append(instrument)
            self._lent += self._cost(instrument)
        return chosen

    def _stuck(self) -> bool:
        """Whether much of the first losses is left, and the last ones hardly fell."""
        if len(self._earlier) < MEMORY:
            return False
        now, before = statistics.median(self._losses), statistics.median(self._earlier)
        return now > STUCK * statistics.median(self._first) and now > CREEPS * before

    def rest(self) -> int:
        """Steps that may pass before `due` is worth asking again, by the usual time of a step."""
        income = self._budget * self._step_seconds
        if self._dense > 0 or income == 0:
            return 1
        until = min(REST, self._milestone - self._steps, (self._enough - self._saved) / income)
        return max(1, int(until))

    def _is_due(self, instrument: Instrument) -> bool:
        if self._can_pay(instrument, 1.0):
            return True
        # the start and one spike may be owed: else a loss that spikes on and on has no budget
        account = self._accounts[instrument.name]
        may_borrow = -account.credit <= 2 * DENSE * self._cost(instrument)
        enough = instrument.passes > LIGHT and self._steps < DENSE and account.settled >= 3
        dense = self._dense > 0 and instrument.passes <= CHEAP and not enough
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
            account.failure = said(error)
        self._taken[instrument.name] = self._taken.get(instrument.name, 0.0) + self._clock() - start
        account.measurements += 1

    def retire(self, instrument: Instrument, why: str) -> None:
        """Let an instrument rest from now on."""
        self._accounts[instrument.name].failure = why

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
        self._steps += steps
        if self._steps >= self._milestone:
            self._dense = max(self._dense, 1)
            self._milestone = math.ceil(self._milestone * GROWTH)
        self._run_seconds += seconds
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
            if before is None:
                account.seconds = cost
            elif account.settled == 1 and cost < before:
                account.credit += before - cost  # the first one loads code, once in a process
                account.seconds = cost
            else:
                account.seconds = 0.7 * before + 0.3 * cost
            account.settled += 1
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
            self._earlier.clear()
        else:
            # most losses are not above all recent ones, and need no statistics
            full = len(self._losses) == MEMORY
            alarm = full and loss > self.usual and _spikes(loss, self._losses)
            self._sound += 1
            if len(self._first) < DENSE:
                self._first.append(loss)
            if full:
                self._earlier.append(self._losses[0])
            self._losses.append(loss)
        if alarm:
            self._dense = DENSE
        return alarm


def _spikes(loss: float, recent: Iterable[float]) -> bool:
    ordered = sorted(recent)
    middle = ordered[len(ordered) // 2]
    spread = ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]
    return loss > middle + SPIKE * max(spread, 0.1 * abs(middle))
