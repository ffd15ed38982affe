"""Batch norms that see too little, or another thing in evaluation."""

from __future__ import annotations

import math

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import outcome
from ravine.diagnostics.findings._readings import always, first, worst_place
from ravine.diagnostics.history import History

FEW = 3
"""Examples in a minibatch below which their statistics are noise."""
GAP, CHANCE = 0.3, 2.0
"""Root mean square, in deviations, and over √(1.5/n), what n values in a minibatch make of it by chance:
1/n from the mean and 1/2n from the deviation; 0.22 at 32. Healthy: 0.23 there."""


def _bound(history: History, place: str) -> float:
    count = first(history, "batch_norm_count", place)
    return max(GAP, CHANCE * math.sqrt(1.5 / count)) if count > 0 else GAP


def find(history: History, facts: Facts) -> list[Finding]:
    """batch_norm_misuse, in a run that does not validate well."""
    result = outcome(history, facts)
    trains = [
        p for p in history.places("batch_norm_trains") if always(history, "batch_norm_trains", p)
    ]
    if not result.held or not trains:
        return []
    count = first(history, "batch_norm_count", trains[0])
    size = count if facts.batch_size is None else facts.batch_size
    place, gap = worst_place(history, "batch_norm_gap")
    if size < FEW:
        evidence = f"Batch norm takes its statistics from {size:.0f} example(s) at a time."
        remedy = "Use larger minibatches, or GroupNorm or LayerNorm."
    elif gap > _bound(history, place) and result.left > 1.5 * result.train_left:
        evidence = (
            f"In {place} the training form and the evaluation form are {gap:.2g} deviations apart; "
            f"{result.train_left:.0%} of the loss is left in training and {result.left:.0%} in "
            "validation."
        )
        remedy = "Raise the batch norm's momentum, or refresh its statistics before evaluating."
    else:
        return []
    return [
        Finding("batch_norm_misuse", result.severity(0.95), evidence, remedy, 0, place or trains[0])
    ]
