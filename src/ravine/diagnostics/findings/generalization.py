"""What is learned, and whether it holds for other data."""

from __future__ import annotations

import math

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import median
from ravine.diagnostics.findings.landscape import stands
from ravine.diagnostics.history import History

LEFT = 0.25
"""Share of the constant's loss left in validation, where overfitting matters."""
GAP = 0.5
"""Training loss over validation cost."""
RISE = 1.2
"""Validation cost over its best."""
NOTHING, NOTHING_OF_THE_FIRST = 0.95, 0.75
"""Share of the loss left in validation where nothing was learned: of a constant's, or, where that is
unknown, of the first loss, which exceeds it by the variance of the untrained outputs."""
FALLS = 0.99
"""Validation cost of the last third of the run over that of the middle."""
NOISE = 100.0
"""Examples; a noise scale beyond it late in the run says that the gradients are all noise."""


def find(history: History, facts: Facts) -> list[Finding]:
    """overfitting, underfitting, shuffled_labels."""
    result = outcome(history, facts)
    found = [
        _overfitting(history, result),
        _shuffled(history, result),
        _underfitting(history, result),
    ]
    return [finding for finding in found if finding is not None]


def _overfitting(history: History, result: Outcome) -> Finding | None:
    falls = result.train_left < 0.75 * result.left
    apart = result.end < GAP * result.validation
    rising = result.validation > RISE * result.best and falls
    if not (result.left > LEFT and (apart or rising)) or result.train_left > 0.5:
        return None
    curve = history.series("validation_cost")
    at = curve.steps[curve.values.index(result.best)]
    return Finding(
        "overfitting",
        result.severity(0.93),
        f"The training loss is {result.end:.3g} and the validation cost {result.validation:.3g}; it "
        f"was best at step {at} ({result.best:.3g}).",
        f"Stop at step {at}, regularize (weight decay, dropout), or get more data.",
        at,
    )


def _shuffled(history: History, result: Outcome) -> Finding | None:
    """Training falls, by heart or not at all, and validation learns nothing, while steps are taken
    along gradients that are noise."""
    variance = _late_sum(history, "gradient_variance")
    noise = variance > NOISE * _late_sum(history, "true_gradient_norm_squared") and variance > 0
    losses = history.series("loss").values
    n = max(5, len(losses) // 8)
    nothing = NOTHING if math.isfinite(result.constant) else NOTHING_OF_THE_FIRST
    learned = median(losses[-n:]) < 0.97 * median(losses[n : 2 * n])
    if result.left < nothing or not (noise or learned) or not math.isfinite(result.validation):
        return None
    validation = history.series("validation_cost").values
    third = len(validation) // 3
    falls = median(validation[-third:]) < FALLS * median(validation[third:-third])
    if third < 1 or falls or result.train_left > 1.05:
        return None
    return Finding(
        "shuffled_labels",
        result.severity(0.85 if learned else 0.75),
        f"Validation stays at {result.left:.0%} of a constant output's cost (best "
        f"{result.best:.3g}, now {result.validation:.3g}) while the training loss went to "
        f"{result.end:.3g}; single examples' gradients disagree.",
        "Check that labels belong to their inputs: look at some pairs.",
        0,
    )


def _late_sum(history: History, quantity: str) -> float:
    """Over the later half of the measurements."""
    values = history.series(quantity).values
    return sum(values[len(values) // 2 :])


def _underfitting(history: History, result: Outcome) -> Finding | None:
    """Nothing else in the way, and the training loss stands high: too little capacity."""
    if result.well or not result.train_left > 0.5:
        return None
    still = stands(history)
    return Finding(
        "underfitting",
        result.severity(0.7 if still else 0.6),
        f"The training loss {'stands' if still else 'still falls'} at {result.end:.3g}, "
        f"{result.train_left:.0%} of a constant output's.",
        "Use a larger model, less regularization, or better features."
        if still
        else "Train longer; if that does not help, use a larger model.",
        0,
    )
