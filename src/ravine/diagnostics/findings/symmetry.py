"""Units that start as copies of each other."""

from __future__ import annotations

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import outcome
from ravine.diagnostics.findings._readings import first
from ravine.diagnostics.history import History

COPIES = 0.9
"""Share of a layer's units that have a twin."""


def find(history: History, facts: Facts) -> list[Finding]:
    """symmetric_start. The last layer alone may start at 0: its units get different gradients."""
    result = outcome(history, facts)
    places = history.places("equal_weights")
    equal = [place for place in places[:-1] if first(history, "equal_weights", place) > COPIES]
    if not result.held or not equal:
        return []
    return [
        Finding(
            "symmetric_start",
            result.severity(0.97),
            f"In {len(equal)} of {len(places)} layers the units start with the same weights "
            f"({first(history, 'equal_weights', equal[0]):.0%} of them in {equal[0]}): they compute "
            "the same and get the same gradient.",
            "Draw starting weights at random, e.g. init='he_normal'.",
            0,
            equal[0],
        )
    ]
