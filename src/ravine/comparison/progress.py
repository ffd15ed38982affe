"""What a comparison says while it runs. The library only calls these; a front prints."""

from __future__ import annotations

from collections.abc import Mapping


class Progress:
    """Hears what a comparison does; this one keeps silent. Fronts override what they show."""

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

    def note(self, line: str) -> None:
        """One line worth reading."""
