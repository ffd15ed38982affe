"""A member of the serial lane, trained while it is watched: the same run, with readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ravine.diagnostics.facts import Facts, facts_of
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings import diagnose
from ravine.diagnostics.history import History
from ravine.diagnostics.instruments import standard
from ravine.diagnostics.recorder import BUDGET, Account
from ravine.diagnostics.watcher import Watcher
from ravine.training.lane import Member, Tick, unheard
from ravine.training.observer import Rates
from ravine.training.records import Point
from ravine.training.serial import SerialLane

Told = Callable[[Point, History], None]
"""Hears of an evaluation, and of all readings so far."""


@dataclass(frozen=True)
class Watched:
    """A member that was watched.

    Attributes:
        member: where it stands now.
        history: all readings. accounts: what each instrument has cost, by name.
        facts: what was known of the training before.
    """

    member: Member
    history: History
    accounts: Mapping[str, Account]
    facts: Facts

    @property
    def findings(self) -> list[Finding]:
        """What is wrong, the worst first."""
        return diagnose(self.history, self.facts)


def train_watched(
    lane: SerialLane,
    member: Member,
    until: int,
    tick: Tick = unheard,
    *,
    budget: float = BUDGET,
    told: Sequence[Told] = (),
) -> Watched:
    """Train a member up to a step; its curve and weights are those of `lane.train`.

    Args:
        lane, member, until, tick: as in `Lane.train`.
        budget: share of the run's own time that measuring may take.
        told: hear of every evaluation.
    """
    watchers: list[_Telling] = []

    def observe(model: nn.Module, params: Mapping[str, Tensor], rates: Rates) -> Watcher:
        watchers.append(_Telling(model, params, rates, budget, told))
        return watchers[0]

    trained = lane.train_observed(member, until, tick, observe)
    (watcher,) = watchers
    return Watched(trained, watcher.history, watcher.accounts, facts_of(lane.problem))


class _Telling(Watcher):
    """A watcher that passes evaluations on."""

    def __init__(
        self,
        model: nn.Module,
        params: Mapping[str, Tensor],
        rates: Rates,
        budget: float,
        told: Sequence[Told],
    ):
        super().__init__(model, params, rates, standard(), budget)
        self._told = told

    def evaluated(self, point: Point) -> None:
        """Write it down, and tell."""
        super().evaluated(point)
        for tell in self._told:
            tell(point, self.history)
