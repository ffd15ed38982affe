"""Inputs that are not of the order of 1."""

from __future__ import annotations

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import outcome
from ravine.diagnostics.findings._readings import first
from ravine.diagnostics.history import History

OFF = 4.0
"""Means so many deviations from 0; healthy data of any kind, positive or not, stay below 1."""
LARGE, SMALL = 10.0, 5e-3
"""Deviations."""
APART = 8.0
"""The largest deviation of a feature over the median one; of standardized features it reaches
3.8 in small minibatches."""
NOTHING = 0.98
"""Share of features that never vary."""


def find(history: History, facts: Facts) -> list[Finding]:
    """unscaled_inputs, in a run that does not train well."""
    result = outcome(history, facts)
    if not result.held:
        return []
    mean, std = first(history, "input_mean"), first(history, "input_std")
    scales, same = first(history, "input_scales"), first(history, "constant_inputs")
    faults = [
        (std > LARGE, f"inputs have a standard deviation of {std:.3g}"),
        (0 < std < SMALL, f"inputs have a standard deviation of only {std:.3g}"),
        (abs(mean) > OFF * std > 0, f"inputs have mean {mean:.3g} and deviation {std:.3g}"),
        (scales > APART, f"one feature varies {scales:.3g} times as much as the median one"),
    ]
    seen = [words for fault, words in faults if fault]
    if not seen or same > NOTHING:
        return []
    return [
        Finding(
            "unscaled_inputs",
            result.severity(0.94),
            f"The {', and '.join(seen)}; {result.left:.0%} of the loss of a constant output is left.",
            "Standardize inputs: subtract each feature's mean and divide by its deviation.",
            0,
        )
    ]
