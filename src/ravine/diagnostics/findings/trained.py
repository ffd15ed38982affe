"""Parameters that do not learn."""

from __future__ import annotations

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import outcome
from ravine.diagnostics.findings._readings import always, first, worst_place
from ravine.diagnostics.history import History

MANY = 0.1
"""Share of all parameters that is missed when it does not learn."""


def find(history: History, facts: Facts) -> list[Finding]:
    """frozen_parameters, in a run that does not train well: a frozen part may be meant."""
    result = outcome(history, facts)
    if not result.held:
        return []
    frozen = first(history, "frozen_parameters")
    if frozen > MANY:
        return [
            Finding(
                "frozen_parameters",
                result.severity(0.96),
                f"{frozen:.0%} of the parameters are not trained, and {result.left:.0%} of the loss "
                "of a constant output is left.",
                "Let them learn: requires_grad_(True), and give them to the optimizer.",
                0,
            )
        ]
    places = history.places("unused_parameter")
    unused = [place for place in places if always(history, "unused_parameter", place)]
    dead = worst_place(history, "dead_units", at_first=True)[1] > 0.9
    if not unused or len(unused) == len(places) or dead:
        return []
    return [
        Finding(
            "frozen_parameters",
            result.severity(0.92),
            f"The gradient of {len(unused)} of {len(places)} parameters has been 0 at every step "
            f"measured, the first of them {unused[0]}.",
            "Look for a detach(), a .data or a layer that the output does not depend on.",
            0,
            unused[0],
        )
    ]
