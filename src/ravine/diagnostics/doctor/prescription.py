"""What a visit to the doctor comes to: plain records."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from ravine.diagnostics.doctor.patient import Change
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.history import History
from ravine.training.records import Run


@dataclass(frozen=True)
class Attempt:
    """A change that was tried.

    Attributes:
        change: what.
        metric: the validation metric at step `until`, on the watched seed; infinite where it
            diverged, NaN where it failed.
        failure: why it could not be trained, in a line; None if it could.
        since: the step of the watched run from which it was trained; 0: from the start.
        until: the step up to which it was trained and compared.
        untouched: the watched run's validation metric at that step.
    """

    change: Change
    metric: float
    failure: str | None = None
    since: int = 0
    until: int = 0
    untouched: float = math.nan

    @property
    def trained(self) -> str:
        """From which step it was trained, in words."""
        return f"from step {self.since}" if self.since else "from the start"


@dataclass(frozen=True)
class Proof:
    """A change on fresh seeds, trained from the start, as it is after the line was edited.

    Attributes:
        change: what; None: nothing helps.
        untouched, changed: the validation metric at the end without and with it, one number a seed;
            none where nothing helps. A run that diverged counts as the untrained model.
        maximize: whether a larger metric is better.
    """

    change: Change | None
    untouched: tuple[float, ...]
    changed: tuple[float, ...]
    maximize: bool

    @property
    def gains(self) -> tuple[float, ...]:
        """By how much the metric is better with the change, seed by seed, in its units."""
        sign = 1 if self.maximize else -1
        pairs = zip(self.untouched, self.changed, strict=True)
        return tuple(sign * (after - before) for before, after in pairs)

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the mean gain, paired over seeds, by Student's t."""
        gains = self.gains
        if len(gains) < 2 or not all(map(math.isfinite, gains)):
            return math.nan, math.nan
        mean = sum(gains) / len(gains)
        spread = math.sqrt(sum((g - mean) ** 2 for g in gains) / (len(gains) - 1) / len(gains))
        reach = float(stats.t.ppf(0.975, len(gains) - 1)) * spread
        return mean - reach, mean + reach

    @property
    def works(self) -> bool:
        """Whether the change is shown to help: the interval of its gain is above 0."""
        return self.interval[0] > 0


@dataclass(frozen=True)
class Prescription:
    """What a visit found.

    Attributes:
        findings: what is wrong, the worst first.
        run: the watched training.
        history: what was measured of it.
        screened: the untouched run's validation metric at the end; where it diverged, the untrained
            model's.
        attempts: the changes tried; those that went on longest come first, the best first of them.
        proof: the recommended change, the smallest of those that do as well as the best, on fresh
            seeds.
        gradient_steps: of the whole visit, each counted.
        watching: what measuring took, in gradient steps of the watched run's own speed.
        metric: name of the metric.
    """

    findings: tuple[Finding, ...]
    run: Run
    history: History
    screened: float
    attempts: tuple[Attempt, ...]
    proof: Proof
    gradient_steps: int
    watching: float
    metric: str

    @property
    def cost(self) -> float:
        """What the visit cost, in trainings; what watching took is counted."""
        return (self.gradient_steps + self.watching) / self.run.curve[-1].step

    @property
    def recommended(self) -> Change | None:
        """The change to make; None if none helps."""
        return self.proof.change

    @property
    def works(self) -> bool:
        """Whether it is shown to help on fresh seeds."""
        return self.proof.works
