"""A learning rate that is not for this run."""

from __future__ import annotations

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import finite, first, median
from ravine.diagnostics.history import History

BLOWN = 3.0
"""The largest loss over the larger one of the first and a constant output's."""
OVERSHOOTS = 2.0
"""εgᵀHg/gᵀg from which on a step of gradient descent ends higher than it began."""
LEAPS = 1.5
"""|Δθ|/|θ| of a step, the median parameter's; healthy networks: at most 0.6."""
WAY = 0.05
"""The way gone over the size of the parameters; healthy runs: at least 0.46."""
SLOPE = 0.02
"""|g||θ|/J below which the cost itself is flat, whatever the rate."""


def find(history: History, facts: Facts) -> list[Finding]:
    """lr_too_high, lr_too_low."""
    result = outcome(history, facts)
    if result.well:
        return []
    found = [_high(history, result), _low(history, result)]
    return [finding for finding in found if finding is not None]


def size_at_start(history: History) -> float:
    """|θ|, about: the first step's length over the median parameter's relative one."""
    ratio = median([first(history, "update_ratio", p) for p in history.places("update_ratio")])
    return first(history, "step_length") / ratio if ratio > 0 else float("nan")


def slope(history: History, result: Outcome) -> float:
    """|g||θ|/J of the last measured gradients: what a change of all parameters by their own size
    could do to the cost, over the cost."""
    norm = median(history.series("gradient_norm").values[-3:])
    return norm * size_at_start(history) / result.end if result.end > 0 else float("nan")


def _high(history: History, result: Outcome) -> Finding | None:
    losses = finite(history.series("loss").values)
    base = max(finite([first(history, "loss"), result.constant]), default=float("nan"))
    leaps = [
        max(history.series("update_ratio", p).values[:5]) for p in history.places("update_ratio")
    ]
    leap, ratios = median(leaps), history.series("overshoot_ratio").values
    over = sum(ratio > OVERSHOOTS for ratio in ratios)
    remedy = "Lower the learning rate (by 10 first), or warm it up."
    if losses and max(losses) > BLOWN * base:
        step = next(s for s, loss in history.series("loss") if loss > BLOWN * base)
        evidence = (
            f"The loss rose from {losses[0]:.3g} to {max(losses):.3g}; it ends at {result.end:.3g}."
        )
        return Finding("lr_too_high", result.severity(0.9), evidence, remedy, step)
    if leap > LEAPS:
        evidence = f"The first steps change the median parameter by {leap:.2g} times its size."
        return Finding("lr_too_high", result.severity(0.88), evidence, remedy, 0)
    if len(ratios) >= 5 and over > len(ratios) / 2 and result.left > 0.5:
        evidence = f"{over} of {len(ratios)} steps measured overshoot (εgᵀHg/gᵀg > 2)."
        return Finding("lr_too_high", result.severity(0.86), evidence, remedy, 0)
    return None


def _low(history: History, result: Outcome) -> Finding | None:
    size = size_at_start(history)
    gone = median(history.series("distance_from_start").values[-1:])
    if not 0 < gone < WAY * size or not slope(history, result) > SLOPE or result.left < 0.7:
        return None
    return Finding(
        "lr_too_low",
        result.severity(0.9),
        f"After {result.steps} steps the parameters have moved by {gone / size:.2g} of their size, "
        f"and {result.left:.0%} of the loss is left, though the slope is there "
        f"(|g||θ|/J = {slope(history, result):.2g}).",
        "Raise the learning rate (by 10 first).",
        0,
    )
