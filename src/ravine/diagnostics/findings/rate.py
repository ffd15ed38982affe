"""A learning rate that is not for this run."""

from __future__ import annotations

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import finite, first, median
from ravine.diagnostics.history import History

BLOWN, BLOWN_FAR = 2.0, 10.0
"""The largest loss, as a median of 5, over the larger one of the first and a constant output's; of a run
that came to something afterwards, the second. Healthy: 1.65, single losses 3.3; too high: 2.2."""
OVERSHOOTS = 2.0
"""εgᵀHg/gᵀg from which on a step of gradient descent ends higher than it began."""
LEAPS = 1.5
"""|Δθ|/|θ| of a step, the median parameter's; healthy networks: at most 0.6."""
WAY = 0.05
"""The way gone over the size of the parameters; healthy runs: at least 0.46."""
FAR_WAY, STRAIGHT, APART = 0.3, 0.6, 10
"""Where the way gone is shorter than the first, and gradients more than the third in steps apart have a
cosine above the second, the run is still on its first slope: it could have gone ten times as fast."""
FALLS = 0.98
"""The last losses over those of the middle; above it, they do not fall."""
HARDLY = 0.5
"""Share of the loss that is left, at least, where a rate is too low."""
SLOPE = 0.02
"""|g||θ|/J below which the cost itself is flat, whatever the rate."""


def stands(history: History) -> bool:
    """Whether the loss no longer falls: its last quarter against the quarter before."""
    losses = history.series("loss").values
    n = len(losses) // 4
    return n > 4 and median(losses[-n:]) > FALLS * median(losses[-2 * n : -n])


def find(history: History, facts: Facts) -> list[Finding]:
    """lr_too_high, lr_too_low."""
    result = outcome(history, facts)
    if not result.held:
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
    levels = [median(losses[i : i + 5]) for i in range(max(1, len(losses) - 4))]
    bound = (BLOWN_FAR if result.well else BLOWN) * base
    if losses and max(levels) > bound:
        step = next(s for s, loss in history.series("loss") if loss > bound)
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
    if result.well or result.left < HARDLY or not gone > 0 or not slope(history, result) > SLOPE:
        return None
    straight = _straight(history)
    if gone < WAY * size:
        directness, how = 0.9, ""
    elif gone < FAR_WAY * size and straight > STRAIGHT and not stands(history):
        directness, how = 0.8, f", always the same way (gradients' cosine {straight:.2f})"
    else:
        return None
    return Finding(
        "lr_too_low",
        result.severity(directness),
        f"After {result.steps} steps the parameters have moved by {gone / size:.2g} of their size{how}, "
        f"and {result.left:.0%} of the loss is left, though the slope is there "
        f"(|g||θ|/J = {slope(history, result):.2g}).",
        "Raise the learning rate (by 10 first).",
        0,
    )


def _straight(history: History) -> float:
    """Cosine of gradients that were measured many steps apart, lately."""
    cosines = history.series("gradient_cosine").values
    lags = history.series("gradient_cosine_lag").values
    return median([c for c, lag in zip(cosines, lags, strict=True) if lag >= APART][-2:])
