"""Which findings are told while a run is under way."""

from __future__ import annotations

from collections.abc import Callable

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings import CERTAIN, diagnose
from ravine.diagnostics.history import History
from ravine.training.records import Point

LATE = 2 / 3
"""Share of the planned steps before which little is told: a run that trains well is diagnosed as slow
before it has had the time. What is certain is told, and of a run that costs more than untrained."""

FOREMOST = 2
"""Of the findings of an evaluation only so many are told: one trouble brings others with it."""

PERSISTS = 2
"""Evaluations in a row at which a finding must stand to be told."""


class News:
    """Tells each kind of finding once, at an evaluation, when it stands.

    Args:
        facts: what is known of the run; without its planned steps only what is certain is told.
        tell: hears of a finding.
    """

    def __init__(self, facts: Facts, tell: Callable[[Finding], None]):
        self._facts = facts
        self._tell = tell
        self._seen: dict[str, int] = {}
        self._told: set[str] = set()

    def __call__(self, point: Point, history: History) -> None:
        """Hear of an evaluation."""
        found = diagnose(history, self._facts)
        self._seen = {f.kind: self._seen.get(f.kind, 0) + 1 for f in found}
        timely = self._late(point) or _worse(point, history)
        for finding in found[:FOREMOST]:
            stands = timely and self._seen[finding.kind] >= PERSISTS
            if finding.kind not in self._told and (stands or finding.kind in CERTAIN):
                self._told.add(finding.kind)
                self._tell(finding)

    def _late(self, point: Point) -> bool:
        steps = self._facts.steps
        return steps is not None and point.step >= LATE * steps


def _worse(point: Point, history: History) -> bool:
    """Whether training costs more than at its start, or is no number."""
    return not point.cost <= history.series("training_cost").values[0]
