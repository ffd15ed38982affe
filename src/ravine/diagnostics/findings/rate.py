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
LEAPS = 0.8
"""|Δθ|/|θ| of one of the first steps, the median parameter's, of those that do not start at 0; healthy:
at most 0.6, of linear models, 0.3 of networks."""
WAY = 0.05
"""The way gone over the size of the parameters; healthy runs: at least 0.46."""
FAR_WAY, STRAIGHT, APART, STRAIGHT_ON = 0.3, 0.6, 10, 0.8
"""Where the way gone is shorter than the first, and gradients more than the third in steps apart have a
cosine above the second, or the distance is more than the last of the path that led there, the run is
still on its first slope: it could have gone ten times as fast."""
LET_DOWN = 0.01
"""The rate half-way through the run over the largest one; by a cosine 0.5, by a line 0.5, falling to a
thousandth by equal factors 0.03."""
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
    ratios_of = [history.series("update_ratio", p) for p in history.places("update_ratio")]
    began = min((series.steps[0] for series in ratios_of), default=0)
    leaps = [max(series.values[:5]) for series in ratios_of if series.steps[0] == began]
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
    gone = _gone(history)
    if result.well or result.left < HARDLY or not gone > 0 or not slope(history, result) > SLOPE:
        return None
    straight = _straight(history)
    if gone < WAY * size:
        directness, how = 0.9, ""
    elif _rate_half_way(history) < LET_DOWN:
        directness = 0.88
        how = f", for half-way the rate is {_rate_half_way(history):.2g} of the largest one"
    elif gone < FAR_WAY * size and straight and _fell(history):
        directness, how = 0.8, f", always the same way ({straight})"
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


def _rate_half_way(history: History) -> float:
    """The rate half-way through the run, or when it was measured next, over the largest one."""
    terms, squares = history.series("gradient_term"), history.series("gradient_norm_squared")
    squared = dict(squares)
    rates = {s: term / squared[s] for s, term in terms if squared.get(s, 0.0) > 0}
    half = history.series("loss").steps[-1] / 2
    later = [rate for step, rate in rates.items() if step >= half]
    return later[0] / max(rates.values()) if later else float("nan")


def _gone(history: History) -> float:
    """Distance from the start, as far as it can have come since it was measured last."""
    away, steps = history.series("distance_from_start"), history.series("loss").steps
    if not away.values:
        return float("nan")
    length = median(history.series("step_length").values[-3:])
    since = max(0, steps[-1] - away.steps[-1])
    return away.values[-1] + (length * since if length > 0 else 0.0)


def _fell(history: History) -> bool:
    """Whether the loss has fallen over the whole run, its last quarter against the first."""
    losses = history.series("loss").values
    n = len(losses) // 4
    return n > 4 and median(losses[-n:]) < FALLS * median(losses[:n])


def _straight(history: History) -> str:
    """How straight the way was, in words; empty: not. By the gradients' cosine, many steps apart, or by
    the distance gone over the path that led there, which of a random walk of n steps is 1/√n."""
    cosines = history.series("gradient_cosine").values
    lags = history.series("gradient_cosine_lag").values
    cosine = median([c for c, lag in zip(cosines, lags, strict=True) if lag >= APART][-2:])
    if cosine > STRAIGHT:
        return f"gradients' cosine {cosine:.2f}"
    lengths, gone = history.series("step_length"), history.series("distance_from_start").values
    before = [0, *lengths.steps]
    path = sum(
        length * (step - last) for last, (step, length) in zip(before, lengths, strict=False)
    )
    share = gone[-1] / path if gone and path > 0 else 0.0
    return f"{share:.0%} of the path is distance" if share > STRAIGHT_ON else ""
