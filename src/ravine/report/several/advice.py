"""The answer over several recipes in a sentence: who is best, and whether one recipe decides that."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.comparison.several.overall import Overall, Standing
from ravine.report import words
from ravine.report.advice import MOST, be
from ravine.report.arms import noun


def titles(found: Overall) -> dict[str, str]:
    """Arm -> its name in print."""
    return {arm.name: arm.title for arm in found.arms}


def noun_of(found: Overall) -> str:
    """What is compared: optimizers, or candidates that differ in more, or else, than those."""
    return noun(found.workloads[0].verdict)


def answer(found: Overall) -> str:
    """Say which arm is best over all recipes; if one recipe decides that, which."""
    title, arms = titles(found), {arm.name: arm for arm in found.arms}
    lead = arms[found.leaders[0]]
    rank = f"{lead.mean_rank.mean:.1f} of {len(arms)}"
    recipes = words.plural(len(found.workloads), "recipe")
    if found.decision == "winner":
        return (
            f"Over {recipes} {lead.title} is best: mean rank {rank}, {words.p_is(lead.p_best)}, "
            f"whichever recipe is left out.{_behind(found)}"
        )
    if len(found.leaders) > 1:
        level = words.listing([title[name] for name in found.leaders])
        start = f"No certain winner: over {recipes} {level} have the same mean rank, {rank}"
    else:
        p = words.p_is(lead.p_best)
        start = (
            f"No certain winner: over {recipes} {lead.title} has the best mean rank, {rank}, {p}"
        )
    if found.deciding:
        return f"{start}, but {_without(found)}.{_behind(found)}"
    others = [title[name] for name in found.best if name not in found.leaders]
    if not others:
        return f"{start}.{_behind(found)}"
    open_ = f"{words.listing(others, most=MOST[noun_of(found)])} {be(others)} not ruled out"
    return f"{start}, but {open_}.{_behind(found)}"


def _without(found: Overall) -> str:
    """Print "without a or b it would be Adam; without c it would be SGD"."""
    by_outcome: dict[tuple[str, ...], list[str]] = {}
    for left in found.deciding:
        by_outcome.setdefault(left.leaders, []).append(left.recipe)
    parts = [
        f"without {_any_of(recipes)} {_would(found, leaders)}"
        for leaders, recipes in by_outcome.items()
    ]
    return "; ".join(parts)


def _any_of(recipes: Sequence[str]) -> str:
    """Print "a or b", or "any one of 3 recipes"."""
    return " or ".join(recipes) if len(recipes) < 3 else f"any one of {len(recipes)} recipes"


def _would(found: Overall, leaders: Sequence[str]) -> str:
    """Print "it would be SGD", or "it would be level with SGD"."""
    title = titles(found)
    others = [title[name] for name in leaders if name not in found.leaders]
    if len(others) == len(leaders) or not others:
        return f"it would be {words.listing([title[name] for name in leaders])}"
    return f"it would be level with {words.listing(others)}"


def _behind(found: Overall) -> str:
    behind = [arm.title for arm in found.arms if arm.name not in found.best]
    if not behind:
        return ""
    return f" {words.listing(behind, most=MOST[noun_of(found)])} {be(behind)} behind."


def speed_answer(found: Overall) -> str:
    """Say who is fastest to the targets, by AlgoPerf's score."""
    steps = _fastest(found.arms, "steps_score")
    seconds = _fastest(found.arms, "seconds_score")
    if steps is None or seconds is None:
        return "Nobody reached a target."
    in_steps, in_time = f"{steps.steps_score:.2f}", f"{seconds.seconds_score:.2f}"
    if steps is seconds:
        return f"{steps.title} is fastest to the targets: score {in_steps} in steps, {in_time} in time."
    return (
        f"{steps.title} is fastest to the targets in steps, score {in_steps}; {seconds.title} in time, "
        f"score {in_time}."
    )


def _fastest(arms: Sequence[Standing], score: str) -> Standing | None:
    """The arm with the highest score; None where all are 0."""
    best = max(arms, key=lambda arm: float(getattr(arm, score)))
    return best if getattr(best, score) > 0 else None
