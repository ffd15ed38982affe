"""What a report of one training is made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ravine.diagnostics.doctor.prescription import Prescription
from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.history import History, Series
from ravine.diagnostics.landscape import Slice
from ravine.diagnostics.watch.recorder import Account
from ravine.training.records import Run

AFTER = 0.25
"""So much of a run that broke is drawn beyond the step at which it did, as a share of the steps there."""


@dataclass(frozen=True)
class RunRecord:
    """One training, all that is known of it.

    Attributes:
        title: what was trained, and how: "digits-mlp with SGD".
        metric: name of the validation metric.
        history: what was measured.
        findings: what is wrong, the worst first.
        losses: the loss curve of the whole run, from `ravine.diagnostics.watch.losses`; None: what the
            history has kept of it.
        facts: what was known before: batch size, planned steps, whether a larger metric is better.
        run: the trial and its curve; None for a loop of the user's own.
        accounts: what each instrument has cost, by name.
        slice: the cost around the path, from `ravine.diagnostics.landscape`; None if there is none.
        prescription: what a doctor's visit came to; None without a visit.
        environment: versions and machine, and the "command" if there was one.
    """

    title: str
    metric: str
    history: History
    findings: Sequence[Finding]
    facts: Facts = field(default_factory=Facts)
    losses: Series | None = None
    run: Run | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
    slice: Slice | None = None
    prescription: Prescription | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The last step that anything is known of, 1 at least."""
        ends = [self.history.series(*name).steps[-1] for name in self.history.names()]
        return max([1, *ends, *self.curve.steps[-1:]])

    @property
    def curve(self) -> Series:
        """The training loss over the steps."""
        return self.history.series("loss") if self.losses is None else self.losses

    @property
    def broke_at(self) -> int | None:
        """The first step from which on no loss was finite; None if the last one was."""
        broken = None
        for step, loss in self.curve:
            if math.isfinite(loss):
                broken = None
            elif broken is None:
                broken = step
        return broken

    def worth_drawing(self) -> RunRecord:
        """The run as far as there is something to see: of one that broke, not much beyond that."""
        if self.broke_at is None:
            return self
        last = self.broke_at + max(5, round(AFTER * self.broke_at))
        kept = History()
        for name in self.history.names():
            for step, value in self.history.series(*name):
                if step <= last:
                    kept.add(step, {name: value})
        near = [(step, loss) for step, loss in self.curve if step <= last]
        losses = Series([step for step, _ in near], [loss for _, loss in near])
        return replace(self, history=kept, losses=losses)
