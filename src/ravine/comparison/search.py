"""Which configurations to keep, choose and add: pure decisions on scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ravine.comparison.space import HALF_DECADE, Configuration, tidy

Score = tuple[float, float]
"""What a configuration is judged by, lower is better: the metric (negated if larger is better), then
the cost to break ties, each a mean over seeds on the validation data. `WORST` if a seed diverged."""

WORST: Score = (math.inf, math.inf)

SURVIVORS = 3
RUNGS = (9, 3, 1)
"""Rungs of the selection: all configurations train for T/9, the survivors to T/3, and theirs to T."""

ROUNDS = 3
"""Most times that the learning rates of all optimizers are extended."""


def kept(tried: int) -> int:
    """How many of so many train on: a third of them, at least three."""
    return min(tried, max(SURVIVORS, math.ceil(tried / 3)))


def survivors(scores: Mapping[Configuration, Score]) -> list[Configuration]:
    """The configurations that train on, by learning rate.

    Short trainings favour high rates, so the one with the next lower rate than the best is among
    them even where its score is not. Where configurations differ in more than the rate, the next
    lower one may differ in everything, and the best of the lower ones takes its place.
    """
    ranked = ranking(scores)
    keep, first = ranked[: kept(len(ranked))], ranked[0]
    beneath = [one for one in ranked if one.lr < first.lr]
    if beneath:
        alike = [one for one in beneath if one.other == first.other]
        lower = max(alike, key=_rate) if alike else beneath[0]
        if lower not in keep:
            keep[-1] = lower
    return sorted(keep, key=_rate)


def best(scores: Mapping[Configuration, Score]) -> Configuration:
    """The configuration with the best score; of equals the one with the lower rate."""
    return ranking(scores)[0]


def ranking(scores: Mapping[Configuration, Score]) -> list[Configuration]:
    """All configurations, best first."""
    return sorted(scores, key=lambda one: (scores[one], one.lr, one.other))


def unsettled(chosen: Configuration, tried: Mapping[Configuration, Score]) -> str | None:
    """Why a better learning rate may lie outside what was tried; None where it does not.

    The rate is held against the others that were tried with the same other values. Where there are
    none, it has to lie half a decade inside of all rates tried.

    Args:
        chosen: the best configuration so far.
        tried: every configuration tried, with its latest score.
    """
    line = _line(chosen, tried)
    if len(line) == 1:
        return _near_an_end(chosen.lr, [one.lr for one in tried])
    place = line.index(chosen)
    if place == 0:
        return "the lowest tried"
    if place == len(line) - 1:
        return "the highest tried"
    above = line[place + 1]
    if tried[above] == WORST and above.lr / chosen.lr > 1.01 * math.sqrt(HALF_DECADE):
        return "next to one that diverged"
    return None


def extension(chosen: Configuration, tried: Mapping[Configuration, Score]) -> list[Configuration]:
    """The two configurations that an optimizer may add in one round: the best with other rates.

    At an edge of what was tried: the next two half-decades beyond it. Elsewhere: half-way, on a log
    scale, to the neighbours on both sides, or half a decade to both sides where there are none.
    """
    line, lr = _line(chosen, tried), chosen.lr
    place, reason = line.index(chosen), unsettled(chosen, tried) or ""
    if "lowest" in reason:
        rates = [lr / HALF_DECADE**2, lr / HALF_DECADE]
    elif "highest" in reason:
        rates = [lr * HALF_DECADE, lr * HALF_DECADE**2]
    elif len(line) == 1:
        rates = [lr / HALF_DECADE, lr * HALF_DECADE]
    else:
        rates = [math.sqrt(lr * line[place + side].lr) for side in (-1, 1)]
    return [chosen.at(tidy(rate)) for rate in rates]


def _line(chosen: Configuration, tried: Iterable[Configuration]) -> list[Configuration]:
    """All that differ from the chosen one in the learning rate only, and itself, by rate."""
    return sorted((one for one in tried if one.other == chosen.other), key=_rate)


def _near_an_end(rate: float, rates: Iterable[float]) -> str | None:
    lowest, highest = min(rates := list(rates)), max(rates)
    if rate < lowest * HALF_DECADE:
        return "within half a decade of the lowest tried"
    if rate * HALF_DECADE > highest:
        return "within half a decade of the highest tried"
    return None


def _rate(one: Configuration) -> float:
    return one.lr
