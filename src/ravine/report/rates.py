"""How the outcome depends on the learning rate, in facts and words. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

from ravine.comparison.records import Arm, RateScore, Study, Verdict
from ravine.report import words
from ravine.report.arms import (
    ONLY_NEAR,
    band,
    band_words,
    decades,
    keys,
    metric_of,
    noun,
    searched,
)
from ravine.report.axes import log_axis, outcome_axis
from ravine.report.records import Caption, Key, RatePanel, RateRow, Sensitivity
from ravine.report.words import Metric


def sensitivity(study: Study) -> Sensitivity:
    """How the outcome depends on the learning rate, arm by arm."""
    verdict, metric, key = study.verdict, metric_of(study.verdict), keys(study)
    panels = tuple(_panel(arm, key[arm.name]) for arm in verdict.arms)
    values = [value for panel in panels for _, value in (*panel.early, *panel.full)]
    y = outcome_axis(values, study.baseline, verdict.maximize, metric.tick)
    beyond = any(y.clip(value) != value for value in values)
    return Sensitivity(
        caption=Caption(
            _rates_title(verdict.arms, noun(verdict)),
            _rates_reading(study, beyond),
            _rates_alt(verdict),
        ),
        x=log_axis((s.lr for arm in verdict.arms for s in arm.rates), words.number, pad=0.3),
        y=y,
        y_title=f"validation {metric.label}",
        maximize=verdict.maximize,
        panels=panels,
        rows=tuple(_rate_row(arm, s, metric) for arm in verdict.arms for s in arm.rates),
    )


def _panel(arm: Arm, key: Key) -> RatePanel:
    full = tuple(
        (s.lr, s.validation)
        for s in arm.rates
        if s.status in ("chosen", "survived") and _finite(s.validation)
    )
    near = [
        (s.lr, s.validation)
        for s in arm.rates
        if s.status == "chosen" and _finite(s.validation) and math.isclose(s.lr, arm.lr)
    ]
    return RatePanel(
        key=key,
        early=tuple((s.lr, s.early) for s in arm.rates if _finite(s.early)),
        full=full,
        chosen=near[0] if near else None,
        diverged=tuple(s.lr for s in arm.rates if s.status == "diverged"),
        band=band(arm),
        note=f"chosen {words.number(arm.lr)}, good: {band_words(arm)}",
        scattered=bool(searched(arm)),
    )


def _finite(x: float | None) -> TypeGuard[float]:
    return x is not None and math.isfinite(x)


def _rate_row(arm: Arm, score: RateScore, metric: Metric) -> RateRow:
    def text(x: float | None) -> str:
        return "" if x is None else metric.value(x)

    lr, steps = words.number(score.lr), f"{score.steps:,}"
    values = text(score.early), text(score.validation)
    return RateRow(arm.title, lr, words.hyper(score.other), *values, steps, score.status)


def _rates_title(arms: Sequence[Arm], noun: str) -> str:
    """Name the most and the least tolerant arm."""
    arms = [arm for arm in arms if band(arm)]
    if not arms:
        return "No learning rate tried was good: runs diverged at all of them."
    wide, narrow = max(arms, key=decades), min(arms, key=decades)
    widest, narrowest = (words.number(decades(arm), 2) for arm in (wide, narrow))
    if widest == narrowest:
        if decades(wide) < ONLY_NEAR:
            return f"Every {noun} here only works near one learning rate."
        return f"Every {noun} here is good over {_decades_words(wide)} of learning rates."
    if decades(narrow) < ONLY_NEAR:
        least = f"{narrow.title} only works near {words.number(narrow.lr, 1)}"
    else:
        least = f"{narrow.title} is good over only {_decades_words(narrow)}"
    return f"{least}; {wide.title} is good over {_decades_words(wide)} of learning rates."


def _decades_words(arm: Arm) -> str:
    width = words.number(decades(arm), 2)
    return f"{width} {'decade' if width == '1' else 'decades'}"


def _rates_reading(study: Study, beyond: bool) -> str:
    early = words.plural(_first_rung(study), "step")
    better, edge = ("higher", "bottom") if study.verdict.maximize else ("lower", "top")
    what = "setting at its learning rate" if study.spans else "learning rate"
    clipped = f" Dots on the {edge} edge are off the scale." if beyond else ""
    return (
        f"Each dot is one {what} ({better} is better): small dots after {early}, the same "
        f"for all of them; large dots after the full {study.settings.steps:,}; a wide valley "
        f"forgives a bad guess. A decade is a factor of 10.{clipped}"
    )


def _first_rung(study: Study) -> int:
    """Steps of the first rung: what the first rates were stopped at, by protocol a ninth of T."""
    stopped = (s.steps for arm in study.verdict.arms for s in arm.rates if s.status == "dropped")
    return min(stopped, default=max(1, round(study.settings.steps / 9)))


def _rates_alt(verdict: Verdict) -> str:
    parts = (
        f"{arm.title} chosen {words.number(arm.lr)}, good {band_words(arm)}" for arm in verdict.arms
    )
    return f"Validation metric against learning rate. {'; '.join(parts)}."
