"""What searching more settings brings, in facts and words. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ravine.comparison.records import Arm, RateScore, Study, Tuning, Verdict
from ravine.report import words
from ravine.report.arms import keys, metric_of, setting
from ravine.report.axes import Axis, complement_axis, linear_axis, log_axis, outcome_axis
from ravine.report.records import (
    Caption,
    Curves,
    GainRow,
    Gains,
    Isolation,
    IsolationPanel,
    Key,
    Line,
)
from ravine.report.words import Metric
from ravine.rules import Span

NEAR = 0.1
"""A chosen value is near an end of its span within a tenth of it, on the scale of the search."""


def budget(study: Study) -> Curves | None:
    """The expected best of k settings, one line per arm; None where a study does not hold it."""
    verdict, metric, key = study.verdict, metric_of(study.verdict), keys(study)
    if not all(arm.best_of for arm in verdict.arms):
        return None
    lines = tuple(_budget_line(key[arm.name], arm.best_of) for arm in verdict.arms)
    what = "settings" if study.spans else "learning rates"
    reading = (
        f"Expected validation {metric.label} of the best of so many {what}, drawn from those that "
        "the search began with: the exact mean over all such draws, on the selection seeds. One that "
        "was stopped early counts with what it had reached, one that diverged as untrained."
    )
    name = f"validation {metric.label}"
    ends = "; ".join(f"{arm.title} {metric.value(arm.best_of[-1])}" for arm in verdict.arms)
    alt = f"Expected best {name} against the number of {what} tried. With all of them: {ends}."
    return Curves(
        caption=Caption(_budget_title(verdict), reading, alt),
        y=_budget_axis([v for line in lines for v in line.middle], verdict.maximize, metric),
        y_title=name,
        percent=metric.percent,
        lines=lines,
        x_title=f"{what} tried",
    )


def _budget_axis(values: Sequence[float], maximize: bool, metric: Metric) -> Axis:
    """Logarithmic where the interesting end may be zero: with many trials all lines come close."""
    if maximize or min(values) <= 0:
        return linear_axis(values, metric.tick)
    return log_axis(values, metric.tick, pad=0.05)


def _budget_line(key: Key, values: tuple[float, ...]) -> Line:
    return Line(key, tuple(range(1, len(values) + 1)), values, values, values, 1)


def _budget_title(verdict: Verdict) -> str:
    """Who is ahead with one trial, and who with all."""
    metric = metric_of(verdict)
    pick = max if verdict.maximize else min
    n = min(len(arm.best_of) for arm in verdict.arms)
    first = pick(verdict.arms, key=lambda arm: arm.best_of[0])
    last = pick(verdict.arms, key=lambda arm: arm.best_of[n - 1])
    one, whole = metric.value(first.best_of[0]), metric.value(last.best_of[n - 1])
    if first is last:
        return f"{first.title} does best with 1 trial, {one} on average, and with {n}, {whole}."
    return (
        f"With 1 trial {first.title} does best, {one} on average; with {n} it is {last.title}, "
        f"{whole}."
    )


def isolation(study: Study) -> Isolation | None:
    """Every hyperparameter by itself, whatever the others were; None where only rates were tried."""
    verdict, metric, key = study.verdict, metric_of(study.verdict), keys(study)
    panels = tuple(
        _panel(arm, key[arm.name], name, span, verdict.maximize)
        for arm in verdict.arms
        for name, span in study.spans.get(arm.name, {}).items()
    )
    if not panels:
        return None
    values = [value for panel in panels for _, value in (*panel.early, *panel.full)]
    reading = (
        "Each dot is one setting, placed by one of its hyperparameters, whatever the others were: "
        "small dots after a ninth of the steps, the same for all; large dots after all. Dotted line: "
        "the best small dot in each part of the range. The other values differ from dot to dot, the "
        "learning rate above all, so only a clear trend means something."
    )
    name = f"validation {metric.label}"
    said = "; ".join(f"{panel.key.title} {panel.note}" for panel in panels)
    alt = f"{name.capitalize()} against each hyperparameter. {said}."
    return Isolation(
        caption=Caption(_isolation_title(study), reading, alt),
        y=outcome_axis(values, study.baseline, verdict.maximize, metric.tick),
        y_title=name,
        panels=panels,
    )


def _panel(arm: Arm, key: Key, name: str, span: Span, maximize: bool) -> IsolationPanel:
    mirrored = span.scale == "complement"

    def placed(value: float) -> float:
        return 1 - value if mirrored else value

    def value(score: RateScore) -> float:
        return score.other.get(name, arm.hyper[name])

    early = [(value(s), s.early) for s in arm.rates if not s.added and s.early is not None]
    full = [
        (placed(value(s)), s.validation, s.status)
        for s in arm.rates
        if s.status in ("chosen", "survived") and s.validation is not None
    ]
    default = arm.tuning.default[name] if arm.tuning else arm.hyper[name]
    shown = words.hyper_value
    return IsolationPanel(
        key=key,
        name=words.hyper_name(name),
        x=_axis(span),
        early=tuple((placed(x), y) for x, y in sorted(early)),
        best=tuple((placed(x), y) for x, y in _best_of_parts(early, span, maximize)),
        full=tuple((x, y) for x, y, _ in full),
        chosen=next(((x, y) for x, y, status in full if status == "chosen"), None),
        default=placed(default),
        note=f"{words.hyper_name(name)}: chosen {shown(arm.hyper[name])}, default {shown(default)}",
    )


def _best_of_parts(
    pairs: Sequence[tuple[float, float]], span: Span, maximize: bool
) -> list[tuple[float, float]]:
    """The best pair in each of √n parts of a span, even on its scale, by value."""
    count = max(1, round(math.sqrt(len(pairs))))
    parts: dict[int, list[tuple[float, float]]] = {}
    for x, y in pairs:
        part = math.floor(count * span.share(x))
        parts.setdefault(min(count - 1, max(0, part)), []).append((x, y))
    pick = max if maximize else min
    return [pick(part, key=lambda pair: pair[1]) for _, part in sorted(parts.items())]


def _axis(span: Span) -> Axis:
    if span.scale == "complement":
        return complement_axis(span.lo, span.hi, words.hyper_value)
    if span.scale == "log":
        return log_axis((span.lo, span.hi), words.number, pad=0.06 * math.log10(span.hi / span.lo))
    return linear_axis((span.lo, span.hi), words.number)


def _isolation_title(study: Study) -> str:
    """Which chosen values lie so near an end of their span that better ones may lie beyond."""
    near = [
        f"{arm.title}'s {words.hyper_name(name)} {words.hyper_value(arm.hyper[name])}"
        for arm in study.verdict.arms
        for name, span in study.spans.get(arm.name, {}).items()
        if not NEAR <= span.share(arm.hyper[name]) <= 1 - NEAR
    ]
    if not near:
        return "Every chosen value lies well inside the range that was searched."
    verb, noun = ("lies", "its range") if len(near) == 1 else ("lie", "their ranges")
    return (
        f"{words.listing(near, most=3)} {verb} near an end of {noun}; better ones may lie beyond."
    )


def gains(study: Study) -> Gains | None:
    """Default against tuned on the fresh seeds; None where only rates were tried."""
    verdict, metric, key = study.verdict, metric_of(study.verdict), keys(study)
    tuned = _tuned(verdict)
    if not tuned:
        return None
    rows = tuple(
        GainRow(
            key=key[arm.name],
            default=setting(arm, tuning.default),
            chosen=setting(arm, arm.hyper),
            at_default=metric.interval(tuning.validation),
            tuned=metric.interval(arm.validation),
            gain=metric.interval(tuning.gain),
            note=_diverged(tuning, verdict),
        )
        for arm, tuning in tuned
    )
    reading = (
        f"Both settings were trained on the same {words.plural(len(verdict.final_seeds), 'fresh seed')}, "
        "so that neither had luck in a choice. Gain: how much better the chosen setting is, paired "
        "over these seeds, with its 95% interval; below zero the search made things worse."
    )
    return Gains(Caption(_gains_title(tuned, metric), reading, gained(verdict)), rows)


def _gains_title(tuned: Sequence[tuple[Arm, Tuning]], metric: Metric) -> str:
    (most, gain), (least, little) = tuned[0], tuned[-1]
    said = f"Tuning gained {most.title} {metric.interval(gain.gain)}"
    if most is least:
        return f"{said}."
    return f"{said}, the most, and {least.title} {metric.interval(little.gain)}, the least."


def gained(verdict: Verdict) -> str:
    """What tuning brought, in a line; empty where only rates were tried."""
    tuned, metric = _tuned(verdict), metric_of(verdict)
    if not tuned:
        return ""
    said = [f"{arm.title} {metric.interval(tuning.gain)}" for arm, tuning in tuned]
    sure = [arm.title for arm, tuning in tuned if tuning.gain.lo > 0]
    return (
        f"Gain in {metric.label} from tuning against the default setting: "
        f"{words.listing(said, most=6)}{'' if sure else '; none for certain'}."
    )


def _tuned(verdict: Verdict) -> list[tuple[Arm, Tuning]]:
    """Arms and what tuning brought them, the most first."""
    found = [(arm, arm.tuning) for arm in verdict.arms if arm.tuning is not None]
    return sorted(found, key=lambda pair: -pair[1].gain.mean)


def _diverged(tuning: Tuning, verdict: Verdict) -> str:
    if not tuning.diverged:
        return ""
    return f"{tuning.diverged} of {len(verdict.final_seeds)} diverged"
