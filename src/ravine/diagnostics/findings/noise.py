"""Steps that do not agree: gradients of too few examples, and losses that swing."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import finite, median
from ravine.diagnostics.history import History

FEW = 4
"""Examples in a minibatch that are few, whatever the noise."""
NOISY = 20.0
"""Noise scale over batch size; the median of healthy runs is 3."""
SWINGS = 4
"""Crossings of the loss's own trend in the last half of the run."""
SLOW = 6
"""Steps between two crossings from which on it is no noise, whose crossings are two steps apart."""
WIDE = 0.5
"""From the 10th to the 90th percentile of the loss, less its trend, over its median."""
BACK = 0.25
"""Share of the first or a constant's loss that it rises by, from its lowest tenth of the run to its last,
to at least twice as much, where it swings so slowly that there is no second crossing."""
AT_ONCE = 0.5
"""Share of that rise within two steps in a row, as medians of 5, beyond which it is a jump, no swing."""
LEFT = 0.2
"""Share of a constant's loss that is left where a swinging loss matters, at the height of its swings."""


def find(history: History, facts: Facts) -> list[Finding]:
    """noisy_gradient, oscillating_loss."""
    result = outcome(history, facts)
    found = [
        _noisy(history, facts, result),
        _swinging(history, result) or _swung_back(history, result),
    ]
    return [finding for finding in found if finding is not None]


def _noisy(history: History, facts: Facts, result: Outcome) -> Finding | None:
    if result.well or facts.batch_size is None:
        return None
    variance = sum(history.series("gradient_variance").values)
    signal = sum(history.series("true_gradient_norm_squared").values)
    scale = math.inf if signal <= 0 else variance / signal
    few = facts.batch_size <= FEW
    if not few or (variance > 0 and scale < NOISY * facts.batch_size):
        return None
    evidence = (
        f"The noise scale is {scale:.3g} examples and a minibatch has {facts.batch_size}"
        if variance > 0
        else f"A minibatch has {facts.batch_size} example(s)"
    )
    spread = statistics.pstdev(finite(history.series("loss").values[-50:]) or [0.0])
    return Finding(
        "noisy_gradient",
        result.severity(0.93),
        f"{evidence}; the last losses scatter by {spread:.3g} about {result.end:.3g}.",
        "Use larger minibatches (or accumulate), or lower the learning rate.",
        0,
    )


def _swinging(history: History, result: Outcome) -> Finding | None:
    losses = history.series("loss").values
    half = [loss for loss in losses[len(losses) // 2 :] if math.isfinite(loss)]
    if len(half) < 40:
        return None
    level = median(half)
    slope, start = statistics.linear_regression(range(len(half)), half)
    around = [loss - start - slope * step for step, loss in enumerate(half)]
    middle = median(around)
    crossings = sum((one > middle) != (other > middle) for one, other in pairwise(around))
    deciles = statistics.quantiles(around, n=10)
    if not SWINGS <= crossings <= len(half) / SLOW or deciles[-1] - deciles[0] < WIDE * abs(level):
        return None
    reference = result.constant if result.constant > 0 else result.start
    high = max(result.left * reference, level + deciles[-1]) > LEFT * reference
    if result.fine or not high:
        return None
    return Finding(
        "oscillating_loss",
        result.severity(0.93),
        f"The loss swings by {deciles[0]:.3g} to {deciles[-1]:+.3g} about its trend, "
        f"{len(half) / crossings:.0f} steps from one crossing to the next; its level is {level:.3g}.",
        "Lower the momentum, or the learning rate.",
        0,
    )


def _swung_back(history: History, result: Outcome) -> Finding | None:
    """It came down, and went up again, little by little."""
    losses = finite(history.series("loss").values)
    n = max(5, len(losses) // 10)
    levels = [median(losses[i : i + n]) for i in range(0, len(losses) - n + 1, n)]
    if result.well or len(levels) < 5 or not math.isfinite(result.end):
        return None
    lowest, reference = min(levels), result.constant if result.constant > 0 else result.start
    rise = levels[-1] - lowest
    if not (rise > BACK * reference and levels[-1] > 2 * lowest):
        return None
    if max(later - earlier for earlier, later in pairwise(levels)) > AT_ONCE * rise:
        return None
    return Finding(
        "oscillating_loss",
        result.severity(0.88),
        f"The loss came down to {lowest:.3g} and went up to {levels[-1]:.3g} again, little by little.",
        "Lower the momentum, or the learning rate.",
        history.series("loss").steps[n * levels.index(lowest)],
    )
