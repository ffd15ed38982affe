"""What each choice does by itself, in facts and words: start, schedule, order of examples. Pure."""

from __future__ import annotations

from ravine.comparison.records import Effect, Study
from ravine.comparison.statistics import STOP_LEVEL
from ravine.report import words
from ravine.report.arms import NAMES, metric_of
from ravine.report.records import Caption, EffectRow, Effects
from ravine.report.words import Metric


def effects(study: Study) -> Effects | None:
    """The effect of every choice; None where only one was varied."""
    found, metric = study.verdict.effects, metric_of(study.verdict)
    if not found:
        return None
    rows = tuple(row for effect in found for row in _rows(effect, metric))
    title = " ".join(sentence(effect) for effect in found)
    reading = (
        "Each choice is averaged over all others, each combination at its own best learning rate. "
        "Behind: how much worse than the best of its kind, paired over the fresh seeds; P(best): "
        "the probability that it is the best of its kind."
    )
    return Effects(Caption(title, reading, title), rows)


def _rows(effect: Effect, metric: Metric) -> list[EffectRow]:
    best = effect.levels[0]
    return [
        EffectRow(
            choice=NAMES[effect.dimension],
            level=level.name,
            validation=metric.interval(level.validation),
            behind="" if level is best else metric.interval(level.behind),
            p_best=words.probability(level.p_best),
        )
        for level in effect.levels
    ]


def sentence(effect: Effect) -> str:
    """Print "Start: he_normal is best (P = 0.99)." or that it cannot be told."""
    kind = NAMES[effect.dimension].capitalize()
    lead = max(effect.levels, key=lambda level: level.p_best)
    if lead.p_best >= STOP_LEVEL:
        return f"{kind}: {lead.name} is best, {words.p_is(lead.p_best)}."
    open_ = [level.name for level in effect.levels if level.p_best > 1 - STOP_LEVEL]
    return f"{kind}: {words.listing(open_)} cannot be told apart."
