"""Shapes of the cost that hold a run up: ravines, plains, saddles, cliffs."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import finite, last, median, usual
from ravine.diagnostics.findings.rate import SLOPE, slope, stands
from ravine.diagnostics.history import History

STEEP = 0.5, 4.0
"""ελmax: about as fast as the steepest direction allows."""
PERSISTS = 6
"""Measurements of the ratio."""
FAR = 0.3
"""What a quick predictor leaves over what the run leaves."""
CONDITION = 300.0
"""λmax over |λmin|."""
NEGATIVE = 0.1
"""-λmin over λmax."""
SMALL = 0.01
"""The gradient over the largest one of the run."""
LEAP = 5.0
"""A step over the median of those before it."""
JUMP, DOWN = 30.0, 0.8
"""A loss over the largest of the ten before it, and their median over the first losses."""
EARLY, BACK = 3, 3.0
"""A jump after so few losses is one minibatch's if the next loss is so many times smaller: what a rate
drives up goes on rising."""
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


def _rate(history: History) -> float:
    """ε = εgᵀg / gᵀg."""
    return usual(history, "gradient_term") / usual(history, "gradient_norm_squared")


def _ill_conditioned(history: History, result: Outcome) -> Finding | None:
    spectrum = _seen_in_spectrum(history)
    evidence = spectrum or _seen_along_gradient(history, result)
    if evidence is None:
        return None
    return Finding(
        "ill_conditioned",
        result.severity(0.9 if spectrum else 0.86),
        f"{evidence}; {result.left:.0%} of the loss is left.",
        "Standardize or decorrelate inputs, or use momentum or Adam.",
        0,
    )


def _seen_in_spectrum(history: History) -> str | None:
    steep, flat = usual(history, "largest_eigenvalue"), usual(history, "smallest_eigenvalue")
    if not (steep > 0 and usual(history, "gradient_norm_squared") > 0):
        return None
    rate = _rate(history)
    condition = steep / abs(flat) if flat else float("inf")
    if not (STEEP[0] < rate * steep < STEEP[1] and condition > CONDITION):
        return None
    if not usual(history, "overshoot_ratio") > STEEP[0]:
        return None
    return (
        f"The rate is all that the steepest direction allows (ελmax = {rate * steep:.2g}), others are "
        f"{condition:.2g} times flatter"
    )


def _seen_along_gradient(history: History, result: Outcome) -> str | None:
    """Steps as long as the curvature along them allows would end a round bowl's descent at once: what
    is left, and could be had, lies along flat directions."""
    ratios = finite(history.series("overshoot_ratio").values)
    if len(ratios) < PERSISTS or not STEEP[0] < median(ratios) < STEEP[1] / 2:
        return None
    if not (result.attainable < FAR * result.left and result.left < 0.9):
        return None
    return (
        f"Steps are as long as the curvature along them allows (εgᵀHg/gᵀg = {median(ratios):.2g}; 2 "
        f"overshoots), though a quick predictor leaves {result.attainable:.0%}: the rest lies along "
        "directions that are much flatter"
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
    steep, down = last(history, "largest_eigenvalue"), last(history, "smallest_eigenvalue")
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
    n = max(5, len(losses) // 10)
    levels = [median(losses[i : i + n]) for i in range(0, len(losses) - n + 1, n)]
    lowest = min([*finite(levels), *finite([result.best])], default=float("nan"))
    if not max(result.left, result.train_left) > 0.9 or result.end <= LOST * lowest:
        return None
    ratios = finite(history.series("overshoot_ratio").values)
    leap, over = max(finite(steps.values), default=0.0), max(ratios, default=0.0)
    jumped, directness = _jump(history, result), 0.89
    if jumped is not None:
        directness = 0.94
        at, jump = jumped
        what = f"The loss jumped to {jump:.3g} times its level at step {at}"
    elif leap > LEAP:
        at = steps.steps[steps.values.index(leap)]
        what = f"A step was {leap:.3g} times as long as the median one"
    elif len(ratios) >= 5 and over > 4 and 0 < median(ratios) < 2:
        at, directness = 0, 0.8
        what = f"A step overshot {over:.2g} times where the median is {median(ratios):.2g}"
    else:
        return None
    return Finding(
        "cliff",
        result.severity(directness),
        f"{what}; the loss had come to {lowest:.3g} and ends at {result.end:.3g}.",
        "Clip the gradient's norm.",
        at,
    )


def _jump(history: History, result: Outcome) -> tuple[int, float] | None:
    """Step and height of the first loss that is far above all of the ten before it, in a run that was
    on its way down, or the minibatch's own: a rate that is too high takes some steps to get there."""
    curve = history.series("loss")
    for place in range(EARLY, len(curve)):
        before = finite(curve.values[max(0, place - 10) : place])
        most, jump = max(before, default=0.0), curve.values[place]
        if not jump > JUMP * most > 0:
            continue
        on_its_way = place >= 10 and median(before) < DOWN * result.start
        if on_its_way or _falls_back(curve.values[place:]):
            return curve.steps[place], jump / most
        return None
    return None


def _falls_back(losses: Sequence[float]) -> bool:
    """Whether the first of these losses was far above the next one."""
    return len(losses) > 1 and losses[0] > BACK * losses[1]
