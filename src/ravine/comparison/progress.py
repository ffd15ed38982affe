"""What a job says while it runs. The library only calls these; a front prints."""

from __future__ import annotations

from collections.abc import Mapping

from ravine.diagnostics.finding import Finding
from ravine.diagnostics.history import History
from ravine.training.records import Point


class Progress:
    """Hears what a job does; this one keeps silent. Fronts override what they show."""

    def stage(self, title: str, steps: int) -> None:
        """A stage begins.

        Args:
            title: what it is, in print.
            steps: gradient steps in it, summed over members, that are not done yet.
        """

    def tick(self, steps: int) -> None:
        """So many gradient steps were taken, summed over members, since the last call."""

    def best(self, scores: Mapping[str, tuple[float, float]]) -> None:
        """The best learning rate of each optimizer so far, and its validation metric."""

    def evaluated(self, point: Point, history: History) -> None:
        """A single training was evaluated, and this was measured by then."""

    def found(self, finding: Finding) -> None:
        """Something is wrong with a single training, while it is under way."""

    def note(self, line: str) -> None:
        """One line worth reading."""


class Titled(Progress):
    """Passes on what one of several comparisons does, each stage under the comparison's title.

    Args:
        listener: hears it.
        title: of the comparison, in print.
    """

    def __init__(self, listener: Progress, title: str):
        self._listener = listener
        self._title = title

    def stage(self, title: str, steps: int) -> None:
        """The stage, with the comparison's title before its own."""
        self._listener.stage(f"{self._title}: {title}", steps)

    def tick(self, steps: int) -> None:
        """As it is."""
        self._listener.tick(steps)

    def best(self, scores: Mapping[str, tuple[float, float]]) -> None:
        """As it is."""
        self._listener.best(scores)

    def evaluated(self, point: Point, history: History) -> None:
        """As it is."""
        self._listener.evaluated(point, history)

    def found(self, finding: Finding) -> None:
        """As it is."""
        self._listener.found(finding)

    def note(self, line: str) -> None:
        """As it is."""
        self._listener.note(line)
