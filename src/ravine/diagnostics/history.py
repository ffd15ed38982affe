"""Readings over time, in rings: nothing here grows with the length of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ravine.diagnostics.instrument import Name, Readings

CAPACITY = 512
"""Points of a series. When they are full, every second one of the older half is dropped: the recent
past stays dense, the beginning is kept, and what is between thins out."""


@dataclass
class Series:
    """One number over the steps of a run, ascending."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return iter(zip(self.steps, self.values, strict=True))

    def add(self, step: int, value: float) -> None:
        """Append a point; the first one is never dropped."""
        self.steps.append(step)
        self.values.append(value)
        if len(self.steps) > CAPACITY:
            half = CAPACITY // 2
            self.steps[:half] = self.steps[:half:2]
            self.values[:half] = self.values[:half:2]

    def since(self, step: int) -> Series:
        """The part from a step on."""
        first = next((i for i, s in enumerate(self.steps) if s >= step), len(self.steps))
        return Series(self.steps[first:], self.values[first:])


class History:
    """All series of a run, by name."""

    def __init__(self) -> None:
        self._series: dict[Name, Series] = {}

    def add(self, step: int, readings: Readings) -> None:
        """Take in the readings of a step."""
        for name, value in readings.items():
            self._series.setdefault(name, Series()).add(step, value)

    def series(self, quantity: str, place: str = "") -> Series:
        """A quantity over time; empty if it was not measured."""
        return self._series.get(Name(quantity, place), Series())

    def places(self, quantity: str) -> list[str]:
        """Where a quantity was measured, in the order of the first readings."""
        return [name.place for name in self._series if name.quantity == quantity]

    def names(self) -> list[Name]:
        """All that was measured."""
        return list(self._series)
