"""A member of the serial lane, trained while it is watched: the same run, with all that is to be seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from ravine.diagnostics.facts import Facts, facts_of
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings import diagnose
from ravine.diagnostics.history import History, Series
from ravine.diagnostics.instruments import standard
from ravine.diagnostics.watch.losses import Losses
from ravine.diagnostics.watch.observers import Observers
from ravine.diagnostics.watch.recorder import BUDGET, Account
from ravine.diagnostics.watch.trajectory import Snapshot, Trajectory
from ravine.diagnostics.watch.watcher import Watcher
from ravine.training.lane import Member, Tick, unheard
from ravine.training.observer import Observer, Rates
from ravine.training.records import Point, Run
from ravine.training.serial import SerialLane

Told = Callable[[Point, History], None]
"""Hears of an evaluation, and of all readings so far."""


@dataclass(frozen=True)
class Watched:
    """A training that was watched.

    Attributes:
        stood: where it stood at the steps asked for.
        history: all readings. accounts: what each instrument has cost, by name.
        facts: what was known of the training before.
        losses: its loss curve, evenly. snapshots: its way through the parameters, evenly.
        seconds: what it took, with measuring.
    """

    stood: Sequence[Member]
    history: History
    accounts: Mapping[str, Account]
    facts: Facts
    losses: Series
    snapshots: Sequence[Snapshot]
    seconds: float

    @property
    def member(self) -> Member:
        """Where it stands now."""
        return self.stood[-1]

    @property
    def run(self) -> Run:
        """Its curve."""
        return self.member.run

    @property
    def findings(self) -> list[Finding]:
        """What is wrong, the worst first."""
        return diagnose(self.history, self.facts)

    @property
    def spent(self) -> float:
        """Seconds that measuring took."""
        return sum(account.spent for account in self.accounts.values())

    @property
    def measuring(self) -> float:
        """What measuring took, in gradient steps of the run's own speed, evaluations counted."""
        return self.member.step * self.spent / max(self.seconds - self.spent, 1e-9)


def train_watched(
    lane: SerialLane,
    member: Member,
    stops: Sequence[int],
    tick: Tick = unheard,
    *,
    budget: float = BUDGET,
    told: Sequence[Told] = (),
) -> Watched:
    """Train a member up to the last of some evaluation steps, ascending; its curve and weights are
    those of `lane.train`.

    Args:
        lane, member, tick: as in `Lane.train`.
        stops: where it is to be seen how it stood.
        budget: share of the run's own time that measuring may take.
        told: hear of every evaluation.
    """
    ears = _Ears(budget, told)
    begin = time.perf_counter()
    stood = lane.observed(member, stops, tick, ears.listen)
    seconds = time.perf_counter() - begin
    return Watched(
        stood,
        ears.watcher.history,
        ears.watcher.accounts,
        facts_of(lane.problem, lane.procedure(member.run.trial)),
        ears.losses.series,
        ears.trajectory.snapshots,
        seconds,
    )


class _Ears:
    """All who listen; they are there once the run has begun."""

    watcher: Watcher
    trajectory: Trajectory

    def __init__(self, budget: float, told: Sequence[Told]):
        self.losses = Losses()
        self._budget = budget
        self._told = told

    def listen(self, model: nn.Module, params: Mapping[str, Tensor], rates: Rates) -> Observers:
        """Begin; see `training.observer.Observe`."""
        self.watcher = Watcher(model, params, rates, standard(), self._budget)
        self.trajectory = Trajectory(params)
        others = (self.losses, self.trajectory, _Teller(self.watcher, self._told))
        return Observers(self.watcher, *others)


@final
class _Teller(Observer):
    """Passes evaluations on, with the readings so far."""

    def __init__(self, watcher: Watcher, told: Sequence[Told]):
        self._watcher = watcher
        self._told = told

    def evaluated(self, point: Point) -> None:
        """Tell everybody."""
        for tell in self._told:
            tell(point, self._watcher.history)
