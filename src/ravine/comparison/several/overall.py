"""Several recipes at once: from what each came to, to who is best over all. No recipe decides alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ravine.comparison import statistics
from ravine.comparison.records import Arm, Interval
from ravine.comparison.several import profiles, ranks
from ravine.comparison.several.workloads import Workload
from ravine.comparison.statistics import Array
from ravine.comparison.verdict import write_json
from ravine.errors import FolderError

FILE = "overall.json"

LUCK = 0.05
"""Where two equal arms get a winner in a larger share of comparisons, the reader is warned."""


@dataclass(frozen=True)
class Standing:
    """One arm over all recipes.

    Attributes:
        name, title: as in the verdicts.
        ranks: its expected rank on each recipe, in their order, 1 is best.
        mean_rank: their mean, with a 95% interval over seeds and recipes.
        p_best: probability that its mean rank is the lowest, over seeds and recipes.
        steps_score, seconds_score: AlgoPerf's benchmark score, from times to target in gradient steps
            and in seconds; 1 is the fastest on every recipe.
        reached: on how many recipes it reached the target.
        maybe_best: on how many recipes it is among those of which the verdict rules none out.
    """

    name: str
    title: str
    ranks: tuple[float, ...]
    mean_rank: Interval
    p_best: float
    steps_score: float
    seconds_score: float
    reached: int
    maybe_best: int


@dataclass(frozen=True)
class Without:
    """What comes out where one recipe is left out.

    Attributes:
        recipe: which one. leaders: the arms with the lowest mean rank then; several if level.
        decides: whether they are others than with it.
    """

    recipe: str
    leaders: tuple[str, ...]
    decides: bool


@dataclass(frozen=True)
class Overall:
    """The answer of a comparison on several recipes.

    Attributes:
        workloads: the recipes, by name.
        arms: lowest mean rank first.
        leaders: the arm with the lowest mean rank; several if level.
        best: the arms among which the best one is: a winner if there is only one. A winner is the
            best with P >= 0.98, and stays it whichever recipe is left out.
        without: each recipe left out.
        steps_ratios, seconds_ratios: how many times as long as the fastest each arm takes to the
            targets, [arms, recipes] in the order of `arms`; infinite for a miss.
        warnings: what the reader must know before trusting the answer.
    """

    workloads: tuple[Workload, ...]
    arms: tuple[Standing, ...]
    leaders: tuple[str, ...]
    best: tuple[str, ...]
    without: tuple[Without, ...]
    steps_ratios: Array
    seconds_ratios: Array
    warnings: tuple[str, ...]

    @property
    def decision(self) -> str:
        """ "winner" or "tie"."""
        return "winner" if len(self.best) == 1 else "tie"

    @property
    def deciding(self) -> tuple[Without, ...]:
        """The recipes of which each decides who leads."""
        return tuple(left for left in self.without if left.decides)


def overall(workloads: Sequence[Workload]) -> Overall:
    """Put recipes together, whatever their order.

    Args:
        workloads: two at least.

    Raises:
        FolderError: they compare different arms.
    """
    workloads = sorted(workloads, key=lambda workload: workload.folder)
    names = _common_arms(workloads)
    recipes = [workload.folder for workload in workloads]
    verdicts = [{arm.name: arm for arm in workload.verdict.arms} for workload in workloads]
    table = np.stack([ranks.expected_ranks(_beats(arms, names)) for arms in verdicts], axis=1)
    draws = ranks.mean_rank_draws([workload.table(names) for workload in workloads])
    p_best = statistics.p_best(draws)
    leading = ranks.leaders(table)
    left_out = ranks.without_each(table)
    possible = set(statistics.credible_best(p_best)).union(leading, *left_out)
    ratios = {
        what: profiles.performance_ratios(
            [[getattr(workload, what)[name] for workload in workloads] for name in names]
        )
        for what in ("steps", "seconds")
    }
    scores = {what: profiles.profile_score(of) for what, of in ratios.items()}
    intervals = ranks.spread(draws, table.mean(axis=1))
    order = sorted(range(len(names)), key=lambda arm: (table[arm].mean(), -p_best[arm]))
    standings = [
        Standing(
            name=names[arm],
            title=verdicts[0][names[arm]].title,
            ranks=tuple(map(float, table[arm])),
            mean_rank=intervals[arm],
            p_best=float(p_best[arm]),
            steps_score=float(scores["steps"][arm]),
            seconds_score=float(scores["seconds"][arm]),
            reached=sum(math.isfinite(workload.steps[names[arm]]) for workload in workloads),
            maybe_best=sum(names[arm] in workload.verdict.best for workload in workloads),
        )
        for arm in order
    ]
    without = (
        Without(recipe, tuple(names[arm] for arm in led), set(led) != set(leading))
        for recipe, led in zip(recipes, left_out, strict=True)
    )
    return Overall(
        workloads=tuple(workloads),
        arms=tuple(standings),
        leaders=tuple(names[arm] for arm in leading),
        best=tuple(names[arm] for arm in order if arm in possible),
        without=tuple(without),
        steps_ratios=ratios["steps"][order],
        seconds_ratios=ratios["seconds"][order],
        warnings=tuple(_warnings(workloads)),
    )


def _common_arms(workloads: Sequence[Workload]) -> list[str]:
    """The names of the arms, in the order asked for."""
    first = workloads[0]
    for other in workloads[1:]:
        if set(other.settings.arms) != set(first.settings.arms):
            raise FolderError(
                f"{first.folder} compares {','.join(first.settings.arms)}, {other.folder} compares "
                f"{','.join(other.settings.arms)}; expected the same on every recipe"
            )
    return list(first.settings.arms)


def _beats(arms: dict[str, Arm], names: Sequence[str]) -> Array:
    """P(row beats column), [arms, arms]."""
    return np.array([[arms[a].beats.get(b, 0.5) for b in names] for a in names])


def _warnings(workloads: Sequence[Workload]) -> list[str]:
    lines, recipes = [], len(workloads)
    luck = ranks.winner_by_luck(recipes)
    if luck > LUCK:
        enough = next(n for n in count(recipes + 1) if ranks.winner_by_luck(n) <= LUCK)
        lines.append(
            f"{recipes} recipes say little about others: of two that are equally good in general, "
            f"one is named the winner by luck in {luck:.1%} of cases; with {enough} recipes in "
            f"{ranks.winner_by_luck(enough):.1%}."
        )
    missed = [w.folder for w in workloads if not any(map(math.isfinite, w.steps.values()))]
    lines += [f"On {recipe} nobody reached the target: a miss for all." for recipe in missed]
    return lines


def as_json(found: Overall) -> dict[str, Any]:
    """The answer as `overall.json` holds it; a miss is null, JSON has no infinity."""
    return {
        "decision": found.decision,
        "best": list(found.best),
        "leaders": list(found.leaders),
        "recipes": [_workload_as_json(workload) for workload in found.workloads],
        "arms": [_standing_as_json(found, at) for at in range(len(found.arms))],
        "without": {
            left.recipe: {"leaders": list(left.leaders), "decides": left.decides}
            for left in found.without
        },
        "tau_max": profiles.TAU_MAX,
        "warnings": list(found.warnings),
    }


def _workload_as_json(workload: Workload) -> dict[str, Any]:
    target, verdict = workload.target, workload.verdict
    return {
        "name": verdict.recipe,
        "folder": workload.folder,
        "decision": verdict.decision,
        "best": list(verdict.best),
        "target": None if target is None else target.value,
        "target_named": target is not None and target.named,
    }


def _standing_as_json(found: Overall, at: int) -> dict[str, Any]:
    arm, recipes = found.arms[at], [workload.folder for workload in found.workloads]
    tables = {
        "rank": arm.ranks,
        "steps_to_target": [workload.steps[arm.name] for workload in found.workloads],
        "seconds_to_target": [workload.seconds[arm.name] for workload in found.workloads],
        "steps_ratio": found.steps_ratios[at],
        "seconds_ratio": found.seconds_ratios[at],
    }
    return {
        "name": arm.name,
        "mean_rank": {"mean": arm.mean_rank.mean, "ci": [arm.mean_rank.lo, arm.mean_rank.hi]},
        "p_best": arm.p_best,
        "score": {"steps": arm.steps_score, "seconds": arm.seconds_score},
        "reached": arm.reached,
        "maybe_best": arm.maybe_best,
        **{
            name: {
                recipe: float(value) if math.isfinite(value) else None
                for recipe, value in zip(recipes, values, strict=True)
            }
            for name, values in tables.items()
        },
    }


def write(found: Overall, folder: Path) -> Path:
    """Write `overall.json`, whole or not at all."""
    return write_json(as_json(found), folder / FILE)
