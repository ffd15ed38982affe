"""Numbers that are not finite."""

from __future__ import annotations

import math

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import outcome
from ravine.diagnostics.findings._readings import finite
from ravine.diagnostics.history import History

GROWN = 10.0
"""A loss so many times the first one, before it was lost, says that the run diverged."""

SOURCES = {
    "first_non_finite_output": "the output of layer",
    "first_non_finite_parameter": "the parameter",
    "last_non_finite_gradient": "the gradient of",
}


def find(history: History, facts: Facts) -> list[Finding]:
    """not_finite, with the place and the step where it began."""
    lost = [step for step, loss in history.series("loss") if not math.isfinite(loss)]
    seen = [
        (history.series(quantity, place).steps[0], order, quantity, place)
        for order, quantity in enumerate(SOURCES)
        for place in history.places(quantity)
    ]
    if not lost and not seen:
        return []
    step, _, quantity, place = min(seen, default=(math.inf, 0, "", ""))
    if not quantity or (lost and lost[0] < step):
        step, where, place = lost[0], "the loss", ""
    else:
        where = f"{SOURCES[quantity]} {place}"
    before = finite([loss for at, loss in history.series("loss") if at < step])
    grown = bool(before) and max(before) > GROWN * abs(before[0])
    directness = 0.85 if grown else 0.99
    how = f"after the loss had grown from {before[0]:.3g} to {max(before):.3g}" if grown else (
        "without any growth of the loss before" if before else "at the first loss that was seen"
    )  # fmt: skip
    return [
        Finding(
            "not_finite",
            outcome(history, facts).severity(directness),
            f"NaN or infinite numbers first appear in {where} at step {int(step)}, {how}.",
            "Lower the learning rate, or clip gradients."
            if grown
            else f"Look for a division, a log of 0, a mask of everything or an overflow at {where}.",
            int(step),
            place,
        )
    ]
