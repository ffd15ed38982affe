"""Units that do not answer any more."""

from __future__ import annotations

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import first, late, worst_place
from ravine.diagnostics.history import History

DEAD = 0.75
"""Share of a layer's units that are 0 for the whole minibatch; healthy: 0.5, and 0.71 of the 12 between
the halves of an autoencoder."""
BEGUN = 0.5
"""The same at the first step, where the start is the cause."""
SATURATED = 0.4
"""Share of a layer's outputs; healthy runs start below 0.04."""
STARTS = 5
"""Steps that count as the start."""


def find(history: History, facts: Facts) -> list[Finding]:
    """dying_relus, saturated_units."""
    result = outcome(history, facts)
    if result.well:
        return []
    found = [_dead(history, result), _saturated(history, result)]
    return [finding for finding in found if finding is not None]


def _dead(history: History, result: Outcome) -> Finding | None:
    place, now = worst_place(history, "dead_units")
    if not now > DEAD:
        return None
    begun = first(history, "dead_units", place)
    at = next(step for step, share in history.series("dead_units", place) if share > DEAD)
    return Finding(
        "dying_relus",
        result.severity(0.95 if begun > BEGUN else 0.88),
        f"{now:.0%} of the units of {place} are 0 for every example ({begun:.0%} at the first step).",
        "Start with biases of 0 and he_normal weights, lower the learning rate, or use LeakyReLU.",
        at,
        place,
    )


def _saturated(history: History, result: Outcome) -> Finding | None:
    """From the start and for good: units that saturate because they have learned are no fault."""
    places = [
        (quantity, place)
        for quantity in ("saturated_activations", "saturated_gates")
        for place in history.places(quantity)
        if first(history, quantity, place) > SATURATED
        and late(history, quantity, place) > SATURATED
    ]
    if not places:
        return None
    begun, now = first(history, *places[0]), late(history, *places[0])
    what = "gates" if places[0][0] == "saturated_gates" else "outputs"
    return Finding(
        "saturated_units",
        result.severity(0.92),
        f"{begun:.0%} of the {what} of {places[0][1]} are saturated at the first step, {now:.0%} "
        f"lately; {len(places)} layers are so.",
        "Start with smaller weights (glorot_uniform), or normalize before the activation.",
        0,
        places[0][1],
    )
