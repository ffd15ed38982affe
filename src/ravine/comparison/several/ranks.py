"""Who is best over several recipes, such that no recipe decides alone. Pure functions on arrays.

Every recipe has one vote: its ranking. How far an arm is ahead on a recipe does not count, only with
what probability it is ahead, so a recipe whose metric spreads widely weighs no more than others.
A rank table has shape [arms, recipes], 1 is best.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ravine.comparison import statistics
from ravine.comparison.records import Interval
from ravine.comparison.statistics import Array

SAME = 1e-9
"""Mean ranks closer than this are equal: sums of the same numbers in another order."""


def expected_ranks(beats: ArrayLike) -> Array:
    """The expected rank of each arm on one recipe, given the probabilities that one beats another.

        E[rank(a)] = 1 + Σ over b ≠ a of P(b beats a)

    exactly, as a rank counts those ahead, and half of those level.

    Args:
        beats: P(row beats column), [arms, arms], as `statistics.p_beats` gives it.

    Returns:
        [arms], summing to arms · (arms + 1) / 2.
    """
    table = np.array(beats, dtype=np.float64)
    np.fill_diagonal(table, 0.0)
    return np.asarray(1.0 + table.sum(axis=0), dtype=np.float64)


def mean_rank_draws(
    scores: Sequence[ArrayLike], draws: int = statistics.DRAWS, seed: int = 0
) -> Array:
    """Joint draws of the arms' mean ranks over recipes such as these: of seeds and of recipes.

    A draw takes expected scores on each recipe from `statistics.posterior_means`, which is what the
    seeds leave open; ranks the arms by them within each recipe; and averages the ranks over as many
    recipes as there are, drawn with replacement: the bootstrap, for what the choice of recipes leaves
    open. (A bootstrap in two stages: Davison and Hinkley 1997, section 3.8. Stratified bootstraps
    over seeds alone, as Agarwal et al. 2021, https://arxiv.org/abs/2108.13264, answer for exactly
    these recipes.)

    Where all recipes agree, no resample disagrees, however few they are: `winner_by_luck` says what
    that is worth.

    Args:
        scores: of each recipe, [arms, seeds], lower is better, at least 2 seeds; numbers of seeds may
            differ.
        draws: how many joint draws.
        seed: of the generator; the same scores and seed give the same draws.

    Returns:
        [draws, arms].
    """
    recipes = len(scores)
    ranks = [
        # A seed of its own each: with a common one a lucky draw would be lucky on all recipes.
        stats.rankdata(statistics.posterior_means(table, draws, seed + recipe), axis=1)
        for recipe, table in enumerate(scores)
    ]
    generator = np.random.default_rng([seed, recipes])
    counts = generator.multinomial(recipes, [1 / recipes] * recipes, size=draws)
    # Sums of halves times whole numbers are exact, so ties stay ties.
    total = sum(count[:, None] * rank for count, rank in zip(counts.T, ranks, strict=True))
    return np.asarray(total / recipes, dtype=np.float64)


def spread(draws: Array, means: ArrayLike) -> list[Interval]:
    """Mean ranks with the 95% interval of their draws.

    Args:
        draws: [draws, arms] of `mean_rank_draws`.
        means: mean ranks, [arms].
    """
    tail = (1 - statistics.COVERAGE) / 2
    lows, highs = np.quantile(draws, [tail, 1 - tail], axis=0)
    return [
        Interval(float(mean), min(float(mean), float(lo)), max(float(mean), float(hi)))
        for mean, lo, hi in zip(np.asarray(means), lows, highs, strict=True)
    ]


def leaders(ranks: ArrayLike) -> tuple[int, ...]:
    """The arms with the lowest mean rank; several where they are level.

    Args:
        ranks: [arms, recipes].
    """
    means = np.asarray(ranks, dtype=np.float64).mean(axis=1)
    return tuple(int(arm) for arm in np.flatnonzero(means <= means.min() + SAME))


def without_each(ranks: ArrayLike) -> list[tuple[int, ...]]:
    """The leaders where one recipe is left out, for each recipe: leave-one-out.

    Args:
        ranks: [arms, recipes], two recipes at least.
    """
    table = np.asarray(ranks, dtype=np.float64)
    if table.shape[1] < 2:
        raise ValueError("leaving one recipe out needs two at least, got one.")
    return [leaders(np.delete(table, recipe, axis=1)) for recipe in range(table.shape[1])]


def winner_by_luck(recipes: int) -> float:
    """How often one of two arms that are equally good in general is named the winner over r recipes.

    Each recipe goes to either with probability ½, and its seeds leave no doubt. With k of r recipes an
    arm wins if P(best) >= `STOP_LEVEL`, where of as many recipes drawn with replacement

        P(best) = P(B > r/2) + ½ P(B = r/2),   B ~ Binomial(r, k/r),

    and if it leads whichever is left out, 2k - r >= 2. Over all outcomes, exactly:

        2 Σ over such k of C(r, k) 2⁻ʳ

    For up to six recipes only all of them will do, 2 · 2⁻ʳ, the sign test (Demšar 2006, section 3.1.4):
    25% for three, 3% for six. For seven it is 12.5%, since six of them will do.
    """
    wins = np.arange(recipes // 2 + 1, recipes + 1)
    drawn, half = stats.binom(recipes, wins / recipes), recipes / 2
    p_best = drawn.sf(half) + 0.5 * drawn.pmf(half)
    enough = wins[(p_best >= statistics.STOP_LEVEL) & (2 * wins - recipes >= 2)]
    return float(2 * stats.binom.pmf(enough, recipes, 0.5).sum())
