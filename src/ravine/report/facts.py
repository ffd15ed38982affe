"""What a report says, before anything is drawn: a study becomes typed facts, words included.

Pure. `facts_of(study)` is the door. Every figure and table has one record with a `Caption`: the
takeaway that serves as its title, how to read it, and a description for those who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

from ravine.comparison.records import Arm, RateScore, Study, Verdict
from ravine.report import words
from ravine.report.axes import Axis, linear_axis, log_axis, outcome_axis
from ravine.report.method import method
from ravine.report.records import (
    Caption,
    Curves,
    DivergedRow,
    Divergence,
    Duels,
    Facts,
    Key,
    Line,
    Race,
    Ranking,
    RankRow,
    RatePanel,
    RateRow,
    Sensitivity,
    Speed,
    SummaryRow,
)
from ravine.report.words import Metric
from ravine.training.records import Point, Run

ONLY_NEAR = 0.25
"""A band of good learning rates narrower than this many decades is a single rate."""


def facts_of(study: Study) -> Facts:
    """Turn a study into all that its report says."""
    verdict = study.verdict
    return Facts(
        recipe=verdict.recipe,
        metric=metric_of(verdict).label,
        answer=answer(verdict),
        warnings=verdict.warnings,
        counts=_counts(study),
        summary=summary(study),
        sensitivity=sensitivity(study),
        cost=cost_curves(study),
        validation=validation_curves(study),
        ranking=ranking(study),
        duels=duels(study),
        speed=speed(study),
        divergence=divergence(study),
        method=method(study, metric_of(verdict)),
        environment=tuple((k, v) for k, v in verdict.environment.items() if k != "command"),
        command=verdict.environment.get("command"),
    )


# --- the answer -----------------------------------------------------------------------------------


def answer(verdict: Verdict) -> str:
    """Say in one sentence or two which optimizer to use."""
    best = [arm for arm in verdict.arms if arm.optimizer in verdict.best]
    behind = [arm for arm in verdict.arms if arm.optimizer not in verdict.best]
    if not any(math.isfinite(arm.validation.mean) for arm in best):
        return "No optimizer trained this recipe: at the chosen settings, fresh seeds diverged."
    if len(best) == 1:
        return _winner(verdict, best[0])
    return _tie(best, behind, words.plural(len(verdict.final_seeds), "fresh seed"))


def _winner(verdict: Verdict, arm: Arm) -> str:
    metric = metric_of(verdict)
    result = f"{metric.label} on fresh seeds is {metric.interval(arm.validation)}"
    use = f"{arm.title} with learning rate {words.number(arm.lr)}: its {result}"
    if len(verdict.arms) == 1:
        return f"{use}; no other optimizer was compared with it."
    rivals = f"the best of {len(verdict.arms)} optimizers with {words.p_is(arm.p_best)}"
    return f"Use {use}, and it is {rivals}."


def _tie(best: Sequence[Arm], behind: Sequence[Arm], seeds: str) -> str:
    names = words.listing([f"{arm.title} (lr {words.number(arm.lr)})" for arm in best], most=6)
    either = "either" if len(best) == 2 else "any of them"
    if not behind:
        names = f"{'both' if len(best) == 2 else f'all {len(best)}'} optimizers, {names},"
    text = (
        f"No single winner: {names} cannot be told apart after {seeds}; {either} is a good choice."
    )
    if not behind:
        return text
    verb = "is" if len(behind) == 1 else "are"
    return f"{text} {words.listing([arm.title for arm in behind], most=6)} {verb} behind."


# --- common parts ---------------------------------------------------------------------------------


def metric_of(verdict: Verdict) -> Metric:
    """How this verdict's metric prints; the best arms decide how many digits."""
    best = [arm.validation for arm in verdict.arms if arm.optimizer in verdict.best]
    return words.metric_of(verdict.metric, verdict.maximize, best)


def keys(study: Study) -> dict[str, Key]:
    """One key per optimizer, best first; slots go by the order asked for, whatever came out."""
    order = {name: slot for slot, name in enumerate(study.settings.optimizers)}
    for arm in study.verdict.arms:
        order.setdefault(arm.optimizer, len(order))
    return {a.optimizer: Key(a.optimizer, a.title, order[a.optimizer]) for a in study.verdict.arms}


def _counts(study: Study) -> tuple[str, ...]:
    rates = sum(len(arm.rates) for arm in study.verdict.arms)
    return (
        words.plural(len(study.verdict.arms), "optimizer"),
        words.plural(rates, "learning rate"),
        f"{words.plural(study.settings.steps, 'gradient step')} each",
        words.plural(len(study.verdict.final_seeds), "fresh seed"),
        words.plural(len(study.selection) + len(study.final), "training"),
    )


def _band(arm: Arm) -> tuple[float, float] | None:
    lo, hi = arm.lr_band
    return (lo, hi) if 0 < lo <= hi < math.inf else None


def _decades(arm: Arm) -> float:
    band = _band(arm)
    return math.log10(band[1] / band[0]) if band else 0.0


def _band_words(arm: Arm) -> str:
    band = _band(arm)
    if band is None:
        return "none"
    if _decades(arm) < ONLY_NEAR:
        return f"only near {words.number(band[0], 2)}"
    return f"{words.number(band[0], 2)} to {words.number(band[1], 2)}"


# --- the table on top -----------------------------------------------------------------------------


def summary(study: Study) -> tuple[SummaryRow, ...]:
    """One row per optimizer, best first."""
    metric, key = metric_of(study.verdict), keys(study)
    runs = [run.trial.optimizer for run in (*study.selection, *study.final)]
    return tuple(
        SummaryRow(
            key=key[arm.optimizer],
            best=arm.optimizer in study.verdict.best,
            lr=words.number(arm.lr),
            other=words.hyper({k: v for k, v in arm.hyper.items() if k != "lr"}),
            validation=metric.value(arm.validation.mean),
            validation_interval=metric.bounds(arm.validation),
            test=metric.value(arm.test.mean) if arm.test else "",
            test_interval=metric.bounds(arm.test) if arm.test else "",
            p_best=words.probability(arm.p_best),
            steps=words.count(arm.steps_to_target),
            seconds=words.duration(arm.seconds_to_target),
            band=_band_words(arm),
            diverged=f"{arm.diverged} of {max(arm.diverged, runs.count(arm.optimizer))}",
        )
        for arm in study.verdict.arms
    )


# --- learning rates -------------------------------------------------------------------------------


def sensitivity(study: Study) -> Sensitivity:
    """How the outcome depends on the learning rate, optimizer by optimizer."""
    verdict, metric, key = study.verdict, metric_of(study.verdict), keys(study)
    panels = tuple(_panel(arm, key[arm.optimizer]) for arm in verdict.arms)
    values = [value for panel in panels for _, value in (*panel.early, *panel.full)]
    y = outcome_axis(values, study.baseline, verdict.maximize, metric.tick)
    beyond = any(y.clip(value) != value for value in values)
    return Sensitivity(
        caption=Caption(
            _rates_title(verdict.arms), _rates_reading(study, beyond), _rates_alt(verdict)
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
    near = [pair for pair in full if math.isclose(pair[0], arm.lr, rel_tol=1e-6)]
    return RatePanel(
        key=key,
        early=tuple((s.lr, s.early) for s in arm.rates if _finite(s.early)),
        full=full,
        chosen=near[0] if near else None,
        diverged=tuple(s.lr for s in arm.rates if s.status == "diverged"),
        band=_band(arm),
        note=f"chosen {words.number(arm.lr)}, good: {_band_words(arm)}",
    )


def _finite(x: float | None) -> TypeGuard[float]:
    return x is not None and math.isfinite(x)


def _rate_row(arm: Arm, score: RateScore, metric: Metric) -> RateRow:
    def text(x: float | None) -> str:
        return "" if x is None else metric.value(x)

    lr, steps = words.number(score.lr), f"{score.steps:,}"
    return RateRow(arm.title, lr, text(score.early), text(score.validation), steps, score.status)


def _rates_title(arms: Sequence[Arm]) -> str:
    """Name the most and the least tolerant optimizer."""
    wide, narrow = max(arms, key=_decades), min(arms, key=_decades)
    widest, narrowest = (words.number(_decades(arm), 2) for arm in (wide, narrow))
    if widest == narrowest:
        if _decades(wide) < ONLY_NEAR:
            return "Every optimizer here only works near one learning rate."
        return f"Every optimizer here is good over {_decades_words(wide)} of learning rates."
    if _decades(narrow) < ONLY_NEAR:
        least = f"{narrow.title} only works near {words.number(narrow.lr, 1)}"
    else:
        least = f"{narrow.title} is good over only {_decades_words(narrow)}"
    return f"{least}; {wide.title} is good over {_decades_words(wide)} of learning rates."


def _decades_words(arm: Arm) -> str:
    width = words.number(_decades(arm), 2)
    return f"{width} {'decade' if width == '1' else 'decades'}"


def _rates_reading(study: Study, beyond: bool) -> str:
    early = words.plural(_first_rung(study), "step")
    better, edge = ("higher", "bottom") if study.verdict.maximize else ("lower", "top")
    clipped = f" Dots on the {edge} edge are off the scale." if beyond else ""
    return (
        f"Each dot is one learning rate ({better} is better): small dots after {early}, the same "
        f"for all rates; large dots after the full {study.settings.steps:,}; a wide valley "
        f"forgives a bad guess. A decade is a factor of 10.{clipped}"
    )


def _first_rung(study: Study) -> int:
    """Steps of the first rung: what the first rates were stopped at, by protocol a ninth of T."""
    stopped = (s.steps for arm in study.verdict.arms for s in arm.rates if s.status == "dropped")
    return min(stopped, default=max(1, round(study.settings.steps / 9)))


def _rates_alt(verdict: Verdict) -> str:
    parts = (
        f"{arm.title} chosen {words.number(arm.lr)}, good {_band_words(arm)}"
        for arm in verdict.arms
    )
    return f"Validation metric against learning rate. {'; '.join(parts)}."


# --- curves ---------------------------------------------------------------------------------------


def cost_curves(study: Study) -> Curves:
    """The training cost of the final runs."""
    lines = _lines(study, lambda point: point.cost, maximize=False)
    start = _start(lines, maximize=False)
    return Curves(
        caption=_curves_caption(study, lines, "training cost", False, words.number),
        y=outcome_axis(_drawn(lines), start, False, words.number),
        y_title="training cost",
        percent=False,
        lines=lines,
    )


def validation_curves(study: Study) -> Curves:
    """The validation metric of the final runs."""
    metric, maximize = metric_of(study.verdict), study.verdict.maximize
    lines = _lines(study, lambda point: point.validation_metric, maximize)
    name = f"validation {metric.label}"
    return Curves(
        caption=_curves_caption(study, lines, name, maximize, metric.value),
        y=outcome_axis(_drawn(lines), _start(lines, maximize), maximize, metric.tick),
        y_title=name,
        percent=metric.percent,
        lines=lines,
    )


def _lines(study: Study, of: Callable[[Point], float], maximize: bool) -> tuple[Line, ...]:
    lines = []
    for optimizer, key in keys(study).items():
        runs = [run for run in study.final if run.trial.optimizer == optimizer and run.curve]
        if runs:
            lines.append(_line(key, runs, of, -math.inf if maximize else math.inf))
    return tuple(lines)


def _line(key: Key, runs: Sequence[Run], of: Callable[[Point], float], worst: float) -> Line:
    steps = tuple(sorted({point.step for run in runs for point in run.curve}))
    rows = [_outcomes(run, steps, of, worst) for run in runs]
    columns = [[v for v in column if v is not None] for column in zip(*rows, strict=True)]
    low, middle, high = (tuple(quantile(c, q) for c in columns) for q in (0.25, 0.5, 0.75))
    return Line(key, steps, middle, low, high, len(runs))


def _outcomes(
    run: Run, steps: Sequence[int], of: Callable[[Point], float], worst: float
) -> list[float | None]:
    """The run's value at each step; the worst from where it diverged, None where not evaluated."""
    values, broken = {point.step: of(point) for point in run.curve}, run.diverged_at
    return [worst if broken is not None and s >= broken else values.get(s) for s in steps]


def quantile(values: Iterable[float], q: float) -> float:
    """Interpolate linearly between order statistics, infinities allowed (NumPy makes them NaN).

    >>> quantile([1, 2, float("inf")], 0.5), quantile([1, float("inf"), float("inf")], 0.75)
    (2.0, inf)
    """
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    left, part = math.floor(at), at - math.floor(at)
    if part == 0 or ordered[left] == ordered[left + 1]:
        return float(ordered[left])
    ends = (ordered[left], ordered[left + 1])
    if not all(map(math.isfinite, ends)):
        return next(end for end in ends if not math.isfinite(end))
    return float(ends[0] + part * (ends[1] - ends[0]))


def _drawn(lines: Iterable[Line]) -> list[float]:
    return [v for line in lines for v in (*line.low, *line.middle, *line.high)]


def _start(lines: Iterable[Line], maximize: bool) -> float:
    """The worst median before training: where all curves begin."""
    starts = [line.middle[0] for line in lines if math.isfinite(line.middle[0])]
    return (min if maximize else max)(starts, default=math.nan)


def _curves_caption(
    study: Study,
    lines: Sequence[Line],
    name: str,
    maximize: bool,
    text: Callable[[float], str],
) -> Caption:
    better = "higher" if maximize else "lower"
    reading = (
        f"Line: median over the fresh seeds; band: the middle half of them; {better} is better. "
        "Press a name to hide or show it."
    )
    if not all(math.isfinite(value) for line in lines for value in line.middle):
        reading += " A line stops where most seeds diverged."
    ends = "; ".join(f"{line.key.title} {text(line.middle[-1])}" for line in lines)
    alt = f"{name.capitalize()} against gradient steps. At the end: {ends}."
    return Caption(_curves_title(study, lines, name, maximize, text), reading, alt)


def _curves_title(
    study: Study,
    lines: Sequence[Line],
    name: str,
    maximize: bool,
    text: Callable[[float], str],
) -> str:
    ends = {line.key.title: line.middle[-1] for line in lines}
    alive = {title: end for title, end in ends.items() if math.isfinite(end)}
    if not alive:
        return f"No {name} to show: the final runs diverged."
    ordered = sorted(alive, key=lambda title: alive[title], reverse=maximize)
    first, last = ordered[0], ordered[-1]
    ahead, behind = ("highest", "lowest") if maximize else ("lowest", "highest")
    best = f"{first} ends with the {ahead} {name}, {text(alive[first])}"
    if len(alive) < len(ends):
        lost = words.listing([title for title in ends if title not in alive], most=3)
        return f"{best}; {lost} diverged on most seeds."
    return (
        f"{best}; {last} with the {behind}, {text(alive[last])}." if last != first else f"{best}."
    )


# --- ranking --------------------------------------------------------------------------------------


def ranking(study: Study) -> Ranking:
    """Mean rank over the fresh seeds."""
    arms, key = study.verdict.arms, keys(study)
    rows = tuple(
        RankRow(key[a.optimizer], a.rank.mean, a.rank.lo, a.rank.hi, words.probability(a.p_best))
        for a in arms
    )
    seeds = words.plural(len(study.verdict.final_seeds), "fresh seed")
    reading = (
        f"On each of {seeds} the optimizers are ranked, 1 is best. Dot: mean rank; bar: 95% "
        "interval; right: the probability of being the best of all."
    )
    said = "; ".join(
        f"{row.key.title} mean rank {row.mean:.1f}, P(best) {row.p_best}" for row in rows
    )
    return Ranking(Caption(_ranking_title(arms), reading, f"Mean ranks. {said}."), rows)


def _ranking_title(arms: Sequence[Arm]) -> str:
    ordered = sorted(arms, key=lambda arm: arm.rank.mean)
    first, last = ordered[0], ordered[-1]
    if first is last:
        return f"{first.title} ran alone."
    return (
        f"{first.title} ranks {first.rank.mean:.1f} of {len(arms)} on average; "
        f"{last.title} ranks {last.rank.mean:.1f}."
    )


def duels(study: Study) -> Duels:
    """Every pair of optimizers."""
    arms, key = study.verdict.arms, keys(study)
    cells = tuple(
        tuple(row.beats.get(column.optimizer) if row is not column else None for column in arms)
        for row in arms
    )
    reading = (
        "Each cell: the probability that the optimizer of the row is better than the one of the "
        "column. 0.50 is a coin flip; blue favours the row, orange the column."
    )
    title = _duels_title(arms)
    return Duels(Caption(title, reading, title), tuple(key[a.optimizer] for a in arms), cells)


def _duels_title(arms: Sequence[Arm]) -> str:
    first = arms[0]
    names = {arm.optimizer: arm.title for arm in arms[1:] if arm.optimizer in first.beats}
    if not names:
        return "There was no rival."
    closest = min(names, key=lambda name: first.beats[name])
    p = words.p_is(first.beats[closest])
    return f"{first.title}'s closest rival is {names[closest]}, which it beats with {p}."


# --- speed ----------------------------------------------------------------------------------------


def speed(study: Study) -> Speed:
    """Steps and seconds until the target is reached."""
    verdict, metric, key = study.verdict, metric_of(study.verdict), keys(study)
    arms = verdict.arms
    better = "more" if verdict.maximize else "less"
    target = f"{metric.label} of {metric.tick(verdict.target)} or {better}"
    reading = (
        f"Target: a validation {target}. Dot: median over the fresh seeds, left is faster; missed: "
        "most seeds never got there. Seconds are for training one model alone on this machine."
    )
    said = "; ".join(
        f"{a.title} {words.count(a.steps_to_target)} steps, {words.duration(a.seconds_to_target)}"
        for a in arms
    )
    caption = Caption(_speed_title(arms, target), reading, f"Cost of reaching the target. {said}.")
    if not any(math.isfinite(arm.steps_to_target) for arm in arms):
        return Speed(caption, ())
    steps = [(key[a.optimizer], a.steps_to_target, words.count(a.steps_to_target)) for a in arms]
    seconds = [
        (key[a.optimizer], a.seconds_to_target, words.duration(a.seconds_to_target)) for a in arms
    ]
    return Speed(
        caption,
        (
            Race("gradient steps to target", _race_axis(steps, words.count), tuple(steps)),
            Race("seconds to target", _race_axis(seconds, words.number), tuple(seconds)),
        ),
    )


def _race_axis(rows: Sequence[tuple[Key, float, str]], text: Callable[[float], str]) -> Axis:
    values = [value for _, value, _ in rows if 0 < value < math.inf]
    if values and max(values) / min(values) > 10**1.5:
        return log_axis(values, text)
    return linear_axis([0.0, *values], text)


def _speed_title(arms: Sequence[Arm], target: str) -> str:
    reached = [arm for arm in arms if math.isfinite(arm.steps_to_target)]
    if not reached:
        return f"No optimizer reached the target, {_a(target)}."
    steps = min(reached, key=lambda arm: arm.steps_to_target)
    seconds = min(reached, key=lambda arm: arm.seconds_to_target)
    n, time = words.count(steps.steps_to_target), words.duration(seconds.seconds_to_target)
    if steps is seconds:
        first = f"{steps.title} reaches {_a(target)} first: {n} steps, {time}"
    else:
        first = f"{steps.title} needs the fewest steps, {n}; {seconds.title} the least time, {time}"
    missed = [arm.title for arm in arms if arm not in reached]
    return f"{first}; {words.listing(missed, most=3)} never." if missed else f"{first}."


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


# --- divergence -----------------------------------------------------------------------------------


def divergence(study: Study) -> Divergence:
    """Which trials diverged, grouped by setting."""
    key = keys(study)
    groups: dict[tuple[str, str, str], list[str]] = {}
    totals: dict[str, int] = {}
    for stage, runs in (("selection", study.selection), ("fresh seeds", study.final)):
        for run in runs:
            if run.diverged_at is not None:
                name = run.trial.optimizer
                title = key[name].title if name in key else name
                totals[title] = totals.get(title, 0) + 1
                group = groups.setdefault((title, words.hyper(run.trial.hyper), stage), [])
                group.append(f"seed {run.trial.seed} at step {run.diverged_at:,}")
    rows = tuple(DivergedRow(*group, ", ".join(trials)) for group, trials in groups.items())
    title = _divergence_title(totals, len(study.selection) + len(study.final))
    reading = (
        "A trial diverged when its cost or metric became infinite or not a number; the step is the "
        "first evaluation that saw it. It counts as the worst outcome and is never left out."
    )
    return Divergence(Caption(title, reading, title), rows)


def _divergence_title(totals: dict[str, int], trials: int) -> str:
    if not totals:
        return f"None of {words.plural(trials, 'trial')} diverged."
    who = [f"{name} {n}" for name, n in sorted(totals.items(), key=lambda item: -item[1])]
    n = sum(totals.values())
    return f"{n} of {words.plural(trials, 'trial')} diverged: {words.listing(who, most=6)}."
