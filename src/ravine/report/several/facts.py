"""What the page over several recipes says, before anything is drawn. Pure; `facts_of` is the door."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from urllib.parse import quote

import numpy as np

from ravine.comparison.several import profiles as formulas
from ravine.comparison.several.overall import Overall, Standing
from ravine.comparison.several.workloads import Workload
from ravine.comparison.statistics import Array
from ravine.report import words
from ravine.report.arms import maybe_best, metric_of
from ravine.report.records import REPORT, Caption, Key, Ranking, RankRow
from ravine.report.several.advice import answer, noun_of, speed_answer, titles
from ravine.report.several.method import method
from ravine.report.several.records import (
    Grid,
    LeftOutRow,
    OverallFacts,
    Profile,
    Profiles,
    RecipeRow,
    Stairs,
    StandingRow,
)

MOST = 4
"""Arms that one cell names; any more are counted."""


def facts_of(found: Overall) -> OverallFacts:
    """Turn what came out over several recipes into all that its page says."""
    environment = _common_environment(found)
    return OverallFacts(
        noun=noun_of(found),
        names=words.listing([workload.verdict.recipe for workload in found.workloads], most=MOST),
        answer=answer(found),
        speed=speed_answer(found),
        warnings=found.warnings,
        counts=_counts(found),
        standings=standings(found),
        recipes=tuple(_recipe(workload, found) for workload in found.workloads),
        ranking=ranking(found),
        ranks=ranks(found),
        left_out=left_out(found),
        profiles=profiles(found),
        times=times(found),
        method=method(found),
        environment=tuple((k, v) for k, v in environment.items() if k != "command"),
        command=environment.get("command"),
    )


def keys(found: Overall) -> dict[str, Key]:
    """One key per arm; slots go by the order asked for, as on the recipes' own pages."""
    slots = {name: slot for slot, name in enumerate(found.workloads[0].settings.arms)}
    return {arm.name: Key(arm.name, arm.title, slots[arm.name]) for arm in found.arms}


def _common_environment(found: Overall) -> dict[str, str]:
    """What is the same for all recipes: the versions, the machine, the command."""
    first, *others = (workload.verdict.environment for workload in found.workloads)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def _counts(found: Overall) -> tuple[str, ...]:
    seeds = [len(workload.verdict.final_seeds) for workload in found.workloads]
    fresh = f"{min(seeds)} to {max(seeds)}" if min(seeds) < max(seeds) else f"{seeds[0]}"
    return (
        words.plural(len(found.workloads), "recipe"),
        words.plural(len(found.arms), noun_of(found)),
        f"{fresh} fresh seeds each",
    )


def standings(found: Overall) -> tuple[StandingRow, ...]:
    """One row per arm, the lowest mean rank first."""
    key, recipes = keys(found), len(found.workloads)
    badge = "best" if found.decision == "winner" else "maybe best"
    return tuple(
        StandingRow(
            key=key[arm.name],
            badge=badge if arm.name in found.best else "",
            mean_rank=f"{arm.mean_rank.mean:.2f}",
            interval=f"[{arm.mean_rank.lo:.2f}, {arm.mean_rank.hi:.2f}]",
            p_best=words.probability(arm.p_best),
            maybe_best=f"{arm.maybe_best} of {recipes}",
            steps_score=f"{arm.steps_score:.2f}",
            seconds_score=f"{arm.seconds_score:.2f}",
            reached=f"{arm.reached} of {recipes}",
        )
        for arm in found.arms
    )


def _recipe(workload: Workload, found: Overall) -> RecipeRow:
    verdict, metric = workload.verdict, metric_of(workload.verdict)
    best = maybe_best(verdict)
    target = workload.target
    return RecipeRow(
        name=verdict.recipe,
        link=f"{quote(workload.folder)}/{REPORT}",
        best=_best([arm.title for arm in best]),
        result=f"{metric.label} {metric.interval(best[0].validation)}" if best else "",
        target="none" if target is None else metric.tick(target.value),
        by="" if target is None else "the recipe's own" if target.named else "by reference runs",
        fastest=_fastest(workload, found),
        notes=words.plural(len(verdict.warnings), "note") if verdict.warnings else "",
    )


def _best(names: list[str]) -> str:
    """Print "Adam", "Adam and SGD, a tie" or "nothing trained"."""
    if not names:
        return "nothing trained"
    return names[0] if len(names) == 1 else f"{words.listing(names, most=MOST)}, a tie"


def _fastest(workload: Workload, found: Overall) -> str:
    least = min(workload.steps.values())
    if not math.isfinite(least):
        return "nobody"
    first = [arm.title for arm in found.arms if workload.steps[arm.name] == least]
    return f"{words.listing(first, most=MOST)}, {words.count(least)}"


def ranking(found: Overall) -> Ranking:
    """Mean ranks over the recipes."""
    key = keys(found)
    rows = tuple(
        RankRow(
            key=key[arm.name],
            mean=arm.mean_rank.mean,
            lo=arm.mean_rank.lo,
            hi=arm.mean_rank.hi,
            p_best=words.probability(arm.p_best),
            note="",
        )
        for arm in found.arms
    )
    reading = (
        f"Dot: mean of the expected ranks over {len(found.workloads)} recipes; bar: 95% interval over "
        "seeds and recipes; right: the probability of having the lowest mean rank."
    )
    said = "; ".join(
        f"{arm.title} {arm.mean_rank.mean:.2f}, P(best) {words.probability(arm.p_best)}"
        for arm in found.arms
    )
    first, last = found.arms[0], found.arms[-1]
    title = (
        f"{first.title} ranks {first.mean_rank.mean:.1f} of {len(found.arms)} on average; "
        f"{last.title} ranks {last.mean_rank.mean:.1f}."
    )
    return Ranking(Caption(title, reading, f"Mean ranks over the recipes. {said}."), rows)


def ranks(found: Overall) -> Grid:
    """The expected rank of each arm on each recipe."""
    cells = {arm.name: tuple((f"{rank:.1f}", "") for rank in arm.ranks) for arm in found.arms}
    reading = (
        "Each cell: the expected rank on this recipe, 1 is best; 1.5 is level with one other. A row of "
        "like numbers is an arm that does alike on all recipes."
    )
    first = {
        arm.title
        for at in range(len(found.workloads))
        for arm in found.arms
        if arm.ranks[at] == min(other.ranks[at] for other in found.arms)
    }
    title = (
        f"{next(iter(first))} ranks first on every recipe."
        if len(first) == 1
        else f"{words.listing(sorted(first), most=MOST)} each rank first on some recipe."
    )
    return _grid(found, Caption(title, reading, title), cells)


def _grid(
    found: Overall, caption: Caption, cells: Mapping[str, tuple[tuple[str, str], ...]]
) -> Grid:
    key = keys(found)
    recipes = tuple(workload.verdict.recipe for workload in found.workloads)
    return Grid(caption, recipes, tuple((key[arm.name], cells[arm.name]) for arm in found.arms))


def left_out(found: Overall) -> tuple[Caption, tuple[LeftOutRow, ...]]:
    """Who leads without each recipe."""
    title = titles(found)
    names = {w.folder: w.verdict.recipe for w in found.workloads}
    rows = tuple(
        LeftOutRow(
            recipe=names[left.recipe],
            leader=words.listing([title[name] for name in left.leaders], most=MOST),
            decides="decides" if left.decides else "",
        )
        for left in found.without
    )
    deciding = [names[left.recipe] for left in found.deciding]
    takeaway = (
        f"{words.listing(deciding, most=MOST)} {'decides' if len(deciding) == 1 else 'decide'} who "
        "leads."
        if deciding
        else f"No single recipe decides: {title[found.leaders[0]]} leads whichever is left out."
    )
    reading = "Each row: the lowest mean rank over all recipes but this one."
    return Caption(takeaway, reading, takeaway), rows


def profiles(found: Overall) -> Profiles:
    """Performance profiles in steps and in seconds."""
    drawn = (
        _profile(found, "gradient steps", found.steps_ratios, lambda arm: arm.steps_score),
        _profile(found, "seconds", found.seconds_ratios, lambda arm: arm.seconds_score),
    )
    tau = words.number(formulas.TAU_MAX)
    reading = (
        f"Height: on what share of the recipes {words.a(noun_of(found))} reaches the target within "
        "so many times what the fastest takes. Left end: how often it is the fastest; right end: how "
        f"often within {tau} times. The score is the area below. Click a name to hide it."
    )
    said = "; ".join(
        f"{arm.title} {arm.steps_score:.2f} in steps, {arm.seconds_score:.2f} in seconds"
        for arm in found.arms
    )
    caption = Caption(speed_answer(found), reading, f"Performance profiles. Scores: {said}.")
    return Profiles(caption, drawn)


def _profile(
    found: Overall, name: str, ratios: Array, score: Callable[[Standing], float]
) -> Profile:
    key, stairs = keys(found), []
    for arm, row in zip(found.arms, ratios, strict=True):
        ends = {1.0, formulas.TAU_MAX}
        taus = sorted(ends.union(float(r) for r in row if r <= formulas.TAU_MAX))
        shares = formulas.profile(np.array([row]), taus)[0]
        stairs.append(
            Stairs(key[arm.name], tuple(taus), tuple(map(float, shares)), f"{score(arm):.2f}")
        )
    order = sorted(stairs, key=lambda each: -float(each.score))
    return Profile(name, formulas.TAU_MAX, tuple(order))


def times(found: Overall) -> Grid:
    """Steps and seconds to each recipe's target."""
    cells = {
        arm.name: tuple(
            (
                words.count(workload.steps[arm.name]),
                ""
                if math.isinf(workload.steps[arm.name])
                else words.duration(workload.seconds[arm.name]),
            )
            for workload in found.workloads
        )
        for arm in found.arms
    }
    missed = sum(math.isinf(w.steps[arm.name]) for w in found.workloads for arm in found.arms)
    cases = len(found.workloads) * len(found.arms)
    title = f"The target was reached in {cases - missed} of {cases} cases."
    reading = (
        "Gradient steps to the target and the time they take, the median over fresh seeds; missed: "
        "at least half of the seeds never got there."
    )
    return _grid(found, Caption(title, reading, title), cells)
