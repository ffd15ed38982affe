"""What an instrument is: it measures and never judges."""

from __future__ import annotations

from abc import ABC
from typing import NamedTuple

from ravine.diagnostics.look import Look, Stride


class Name(NamedTuple):
    """What a number is of: a quantity, and the place where it was measured.

    Attributes:
        quantity: one word, "gradient_norm".
        place: a parameter's or a layer's name; empty for the whole run.
    """

    quantity: str
    place: str = ""


Readings = dict[Name, float]
"""Numbers of one step, by what they are of; NaN and infinite ones are kept as they are."""


class Instrument(ABC):
    """Measures one thing. Subclasses are final and override one of the two methods, or both.

    An instrument may remember what it needs of earlier steps, within a size that does not grow.

    Attributes:
        name: one word, as switched on and off by users.
        quantities: what it measures, quantity -> meaning, with units.
        cost: what a measurement takes, in words: "one backward pass", "nothing".
        passes: the same as a number of backward passes, for the recorder's first guess.
        differentiates: whether it takes derivatives through the run's graph, which calls hooks that
            are there; where there are any, it rests.
    """

    name: str
    quantities: dict[str, str]
    cost: str
    passes: float
    differentiates: bool = False

    def look(self, look: Look) -> Readings:
        """Measure a step in its middle; no side effects on the run."""
        return {}

    def stride(self, stride: Stride) -> Readings:
        """Measure what the optimizer's step did."""
        return {}
