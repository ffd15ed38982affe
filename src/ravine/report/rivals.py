"""Who is ahead of whom, and who gets there first, in facts and words. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ravine.comparison.records import Arm, Study, Verdict
from ravine.report import words
from ravine.report.arms import keys, mark, metric_of, named, nothing_trained, noun, p_best, unit
from ravine.report.axes import Axis, linear_axis, log_axis
from ravine.report.records import Caption, Duels, Key, Race, Ranking, RankRow, Speed


def ranking(study: Study) -> Ranking:
    """Mean rank over the fresh seeds."""
    verdict, key = study.verdict, keys(study)
    rows = tuple(
        RankRow(
            key=key[arm.name],
            mean=arm.rank.mean,
            lo=arm.rank.lo,
            hi=arm.rank.hi,
            p_best=p_best(verdict, arm),
            note=mark(verdict, arm),
        )
        for arm in verdict.arms
    )
    seeds = words.plural(len(verdict.final_seeds), "fresh seed")
    reading = (
        f"On each of {seeds} the {noun(verdict)}s are ranked, 1 is best. Dot: mean rank; bar: 95% "
        "interval; right: the probability of being the best of all."
    )
    said = "; ".join(
        f"{named(verdict, arm)} mean rank {arm.rank.mean:.1f}, P(best) {p_best(verdict, arm)}"
        for arm in verdict.arms
    )
    return Ranking(Caption(_ranking_title(verdict), reading, f"Mean ranks. {said}."), rows)


def _ranking_title(verdict: Verdict) -> str:
    if nothing_trained(verdict):
        return "Every final run diverged, so these ranks mean nothing."
    ordered = sorted(verdict.arms, key=lambda arm: arm.rank.mean)
    first, last = ordered[0], ordered[-1]
    if first is last:
        return f"{named(verdict, first)} ran alone."
    return (
        f"{named(verdict, first)} ranks {first.rank.mean:.1f} of {len(ordered)} on average; "
        f"{named(verdict, last)} ranks {last.rank.mean:.1f}."
    )


def duels(study: Study) -> Duels:
    """Every pair of optimizers."""
    arms, key = study.verdict.arms, keys(study)
    cells = tuple(
        tuple(row.beats.get(column.name) if row is not column else None for column in arms)
        for row in arms
    )
    reading = (
        f"Each cell: the probability that the {noun(study.verdict)} of the row is better than the "
        "one of the column. 0.50 is a coin flip; blue favours the row, orange the column."
    )
    title = _duels_title(study.verdict)
    return Duels(Caption(title, reading, title), tuple(key[a.name] for a in arms), cells)


def _duels_title(verdict: Verdict) -> str:
    first, *others = verdict.arms
    names = {arm.name: arm.title for arm in others if arm.name in first.beats}
    if not names:
        return "There was no rival."
    if nothing_trained(verdict):
        return f"Every final run diverged, so no {noun(verdict)} beats another."
    closest = min(names, key=lambda name: first.beats[name])
    p = words.p_is(first.beats[closest])
    return f"{first.title}'s closest rival is {names[closest]}, which it beats with {p}."


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
    if nothing_trained(verdict):
        title = f"Every final run diverged, so no {noun(verdict)} reached the target."
        return Speed(Caption(title, reading, title), ())
    caption = Caption(
        _speed_title(arms, target, noun(verdict)), reading, f"Cost of reaching the target. {said}."
    )
    if not any(math.isfinite(arm.steps_to_target) for arm in arms):
        return Speed(caption, ())
    steps = [(key[a.name], a.steps_to_target, words.count(a.steps_to_target)) for a in arms]
    steps_to_target = f"{unit(study)} to target"
    seconds = [
        (key[a.name], a.seconds_to_target, words.duration(a.seconds_to_target)) for a in arms
    ]
    return Speed(
        caption,
        (
            Race(steps_to_target, _race_axis(steps, words.count), tuple(steps)),
            Race("seconds to target", _race_axis(seconds, words.number), tuple(seconds)),
        ),
    )


def _race_axis(rows: Sequence[tuple[Key, float, str]], text: Callable[[float], str]) -> Axis:
    values = [value for _, value, _ in rows if 0 < value < math.inf]
    if values and max(values) / min(values) > 10**1.5:
        return log_axis(values, text)
    return linear_axis([0.0, *values], text)


def _speed_title(arms: Sequence[Arm], target: str, noun: str) -> str:
    reached = [arm for arm in arms if math.isfinite(arm.steps_to_target)]
    if not reached:
        return f"No {noun} reached the target, {words.a(target)}."
    steps = min(reached, key=lambda arm: arm.steps_to_target)
    seconds = min(reached, key=lambda arm: arm.seconds_to_target)
    n, time = words.count(steps.steps_to_target), words.duration(seconds.seconds_to_target)
    if steps is seconds:
        first = f"{steps.title} reaches {words.a(target)} first: {n} steps, {time}"
    else:
        first = f"{steps.title} needs the fewest steps, {n}; {seconds.title} the least time, {time}"
    missed = [arm.title for arm in arms if arm not in reached]
    return f"{first}; {words.listing(missed, most=3)} never." if missed else f"{first}."
