"""Histories made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Name

STEPS = 100
FACTS = Facts(steps=STEPS, batch_size=32)
LEVEL = 2.0
"""What a constant output loses."""

Readings = Mapping[str, float | Sequence[float]]
"""Quantity, or "quantity@place", -> its value at five measurements, or one for all of them."""

ALL_STUCK = [LEVEL] * STEPS
LEARNED = [LEVEL * 0.95**step for step in range(STEPS)]


def history(
    losses: Sequence[float] = ALL_STUCK,
    validation: Sequence[float] = (),
    readings: Readings | None = None,
) -> History:
    """Losses at every step, evaluations spread evenly, other readings at the first five steps and
    at the end: of a run that no finding is about, but for what is given."""
    made = History()
    for step, loss in enumerate(losses):
        made.add(step, {Name("loss"): loss})
    for place, cost in enumerate(validation):
        made.add(
            place * len(losses) // max(1, len(validation) - 1), {Name("validation_cost"): cost}
        )
    given = {"loss_of_a_constant": LEVEL, "target_classes": 8.0, **(readings or {})}
    for name, values in given.items():
        quantity, _, place = name.partition("@")
        listed = [values] * 5 if isinstance(values, int | float) else values
        for step, value in zip((0, 1, 2, 50, len(losses) - 1), listed, strict=False):
            made.add(step, {Name(quantity, place): float(value)})
    return made
