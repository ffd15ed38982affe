"""Shapes of the cost that hold a run up: ravines, plains, saddles, cliffs."""

from __future__ import annotations

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import finite, late, median, usual
from ravine.diagnostics.findings.rate import SLOPE, slope
from ravine.diagnostics.history import History

STEEP = 0.5, 4.0
"""ελmax: about as fast as the steepest direction allows."""
CONDITION = 300.0
"""λmax over |λmin|."""
NEGATIVE = 0.1
"""-λmin over λmax."""
SMALL = 0.01
"""The gradient over the largest one of the run."""
FALLS = 0.98
"""The last losses over those of the middle; above it, they do not fall."""
LEAP = 5.0
"""A step over the median of those before it."""
LOST = 1.05
"""The loss at the end over its best level, which it does not find again."""


def find(history: History, facts: Facts) -> list[Finding]:
    """ill_conditioned, plateau, saddle, cliff."""
    result = outcome(history, facts)
    if not result.held:
        return []
    found = [
        _ill_conditioned(history, result),
        _plateau(history, result),
        _saddle(history, result),
        _cliff(history, result),
    ]
    return [finding for finding in found if finding is not None]


def stands(history: History) -> bool:
    """Whether the loss no longer falls: its last quarter against the quarter before."""
    losses = history.series("loss").values
    n = len(losses) // 4
    return n > 4 and median(losses[-n:]) > FALLS * median(losses[-2 * n : -n])


def _rate(history: History) -> float:
    """ε = εgᵀg / gᵀg."""
    return usual(history, "gradient_term") / usual(history, "gradient_norm_squared")


def _ill_conditioned(history: History, result: Outcome) -> Finding | None:
    steep, flat = usual(history, "largest_eigenvalue"), usual(history, "smallest_eigenvalue")
    if not (steep > 0 and usual(history, "gradient_norm_squared") > 0):
        return None
    rate = _rate(history)
    condition = steep / abs(flat) if flat else float("inf")
    if not (STEEP[0] < rate * steep < STEEP[1] and condition > CONDITION):
        return None
    if not usual(history, "overshoot_ratio") > STEEP[0]:
        return None
    return Finding(
        "ill_conditioned",
        result.severity(0.9),
        f"The rate is all that the steepest direction allows (ελmax = {rate * steep:.2g}), others "
        f"are {condition:.2g} times flatter; {result.left:.0%} of the loss is left.",
        "Standardize or decorrelate inputs, or use momentum or Adam.",
        0,
    )


def _plateau(history: History, result: Outcome) -> Finding | None:
    value = slope(history, result)
    if not 0 < value < SLOPE or not stands(history) or result.left < 0.7:
        return None
    return Finding(
        "plateau",
        result.severity(0.85),
        f"The loss stands at {result.end:.3g} and there is no slope: |g||θ|/J = {value:.2g}.",
        "Start elsewhere, or use a rule that scales its steps (Adam, RMSProp).",
        0,
    )


def _saddle(history: History, result: Outcome) -> Finding | None:
    steep, down = late(history, "largest_eigenvalue"), late(history, "smallest_eigenvalue")
    norms = finite(history.series("gradient_norm").values)
    if not norms or not (steep > 0 and down < -NEGATIVE * steep) or not stands(history):
        return None
    now = median(norms[-3:])
    if not now < SMALL * max(norms):
        return None
    return Finding(
        "saddle",
        result.severity(0.95),
        f"The gradient fell to {now / max(norms):.2g} of its largest length while the curvature is "
        f"negative along a direction: eigenvalues from {down:.2g} to {steep:.2g}.",
        "Add noise (smaller minibatches), or use momentum or Adam to leave along that direction.",
        0,
    )


def _cliff(history: History, result: Outcome) -> Finding | None:
    losses, steps = history.series("loss").values, history.series("step_to_median")
    ratios = finite(history.series("overshoot_ratio").values)
    leap = max(finite(steps.values), default=0.0)
    jump = max(ratios, default=0.0)
    rare = len(ratios) >= 5 and jump > 4 and 0 < median(ratios) < 2
    n = max(5, len(losses) // 10)
    levels = [median(losses[i : i + n]) for i in range(0, len(losses) - n + 1, n)]
    lowest = min([*finite(levels), *finite([result.best])], default=float("nan"))
    if result.left < 0.9 or not result.end > LOST * lowest or not (leap > LEAP or rare):
        return None
    what = f"was {leap:.3g} times as long as the median one" if leap > LEAP else (
        f"overshot {jump:.2g} times where the median is {median(ratios):.2g}"
    )  # fmt: skip
    return Finding(
        "cliff",
        result.severity(0.89),
        f"A step {what}; the loss had come to {lowest:.3g} and ends at {result.end:.3g}.",
        "Clip the gradient's norm.",
        steps.steps[steps.values.index(leap)] if leap > LEAP else 0,
    )
