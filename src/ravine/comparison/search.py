"""Which learning rates to try, keep and add: pure decisions on scores."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ravine.errors import SettingError

Score = tuple[float, float]
"""What a learning rate is judged by, lower is better: the metric (negated if larger is better), then
the cost to break ties, each a mean over seeds on the validation data. `WORST` if a seed diverged."""

WORST: Score = (math.inf, math.inf)

HALF_DECADE = math.sqrt(10)
REACH = 4
"""Half-decades tried on each side of the default: 9 learning rates over 4 decades."""

SURVIVORS = 3
RUNGS = (9, 3, 1)
"""Rungs of the selection: all rates train for T/9, the survivors to T/3, and theirs to T."""

ROUNDS = 3
"""Most times that the learning rates of all optimizers are extended."""


def grid(default: float) -> list[float]:
    """Learning rates on half-decades around a default, ascending."""
    if not default > 0 or not math.isfinite(default):
        raise SettingError(f"learning rate {default}; expected a number above 0")
    return [tidy(default * HALF_DECADE**k) for k in range(-REACH, REACH + 1)]


def tidy(rate: float) -> float:
    """The rate to four significant digits, so that it prints, types and compares as one number."""
    return float(f"{rate:.4g}")


def survivors(scores: Mapping[float, Score]) -> list[float]:
    """The rates that train on, ascending: a third of them, at least three.

    Short trainings favour high rates, so the next lower rate than the best is among them even
    where its score is not.
    """
    ranked = sorted(scores, key=lambda rate: (scores[rate], rate))
    keep = ranked[: max(SURVIVORS, math.ceil(len(ranked) / 3))]
    lower = [rate for rate in scores if rate < ranked[0]]
    if lower and max(lower) not in keep:
        keep[-1] = max(lower)
    return sorted(keep)


def best(scores: Mapping[float, Score]) -> float:
    """The rate with the best score; the lower one of equals."""
    return min(scores, key=lambda rate: (scores[rate], rate))


def unsettled(chosen: float, tried: Mapping[float, Score]) -> str | None:
    """Why the best rate may lie outside what was tried; None where it does not.

    Args:
        chosen: the best rate so far.
        tried: every rate tried, with its latest score.
    """
    rates = sorted(tried)
    place = rates.index(chosen)
    if place == 0:
        return "the lowest tried"
    if place == len(rates) - 1:
        return "the highest tried"
    above = rates[place + 1]
    if tried[above] == WORST and above / chosen > 1.01 * math.sqrt(HALF_DECADE):
        return "next to one that diverged"
    return None


def extension(chosen: float, tried: Mapping[float, Score]) -> list[float]:
    """The two rates that an optimizer may add in one round.

    At an edge of what was tried: the next two half-decades beyond it. Elsewhere: half-way, on a log
    scale, to the neighbours of the best on both sides.
    """
    rates = sorted(tried)
    place = rates.index(chosen)
    if place == 0:
        return [tidy(chosen / HALF_DECADE**2), tidy(chosen / HALF_DECADE)]
    if place == len(rates) - 1:
        return [tidy(chosen * HALF_DECADE), tidy(chosen * HALF_DECADE**2)]
    return [tidy(math.sqrt(chosen * rates[place + side])) for side in (-1, 1)]
