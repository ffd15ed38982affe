"""Who is best over recipes: against enumeration, closed forms, and by hand.

Monte-Carlo comparisons use fixed seeds and bounds of 4 standard errors, computed where used.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ravine.comparison import statistics
from ravine.comparison.several.ranks import (
    expected_ranks,
    leaders,
    mean_rank_draws,
    spread,
    winner_by_luck,
    without_each,
)

DRAWS = 20_000


def certain(ranks: list[float], seeds: int = 5) -> np.ndarray:
    """Scores of one recipe that no seed leaves any doubt about, [arms, seeds]."""
    return np.tile(np.array(ranks, dtype=float)[:, None], (1, seeds))


def noisy(arms: int, seeds: int, seed: int) -> np.ndarray:
    return np.random.default_rng([arms, seeds, seed]).standard_normal((arms, seeds))


def error(p: float) -> float:
    """Four standard errors of a share of draws, and a little where it is 0 or 1."""
    return 4 * math.sqrt(max(p * (1 - p), 1e-3) / DRAWS)


def test_expected_rank_is_the_mean_rank_over_posterior_draws() -> None:
    scores = noisy(5, 6, 0)
    scores[3] = scores[1]  # a tie in every draw
    draws = statistics.posterior_means(scores)
    brute = stats.rankdata(draws, axis=1).mean(axis=0)
    found = expected_ranks(statistics.p_beats(draws))
    assert found == pytest.approx(brute, abs=1e-12)
    assert found.sum() == pytest.approx(15, abs=1e-12)


def test_expected_ranks_by_hand() -> None:
    """A beats B with 0.9 and C always; B beats C with 0.6."""
    beats = [[0.5, 0.9, 1.0], [0.1, 0.5, 0.6], [0.0, 0.4, 0.5]]
    assert expected_ranks(beats) == pytest.approx([1.1, 2.3, 2.6], abs=1e-15)


def test_draws_without_doubt_about_seeds_are_the_bootstrap_over_recipes() -> None:
    """All 3³ resamples of three recipes, enumerated."""
    ranks = np.array([[1, 2, 1], [2, 1, 3], [3, 3, 2]], dtype=float)  # [arms, recipes]
    resamples = list(itertools.product(range(3), repeat=3))
    means = np.array([ranks[:, list(of)].mean(axis=1) for of in resamples])
    lowest = means == means.min(axis=1, keepdims=True)
    truth = (lowest / lowest.sum(axis=1, keepdims=True)).mean(axis=0)
    draws = mean_rank_draws([certain(list(column)) for column in ranks.T])
    assert draws.shape == (DRAWS, 3)
    found = statistics.p_best(draws)
    assert all(abs(f - t) < error(t) for f, t in zip(found, truth, strict=True))
    for value, count in zip(*np.unique(means[:, 1], return_counts=True), strict=True):
        share = np.isclose(draws[:, 1], value).mean()
        assert abs(share - count / 27) < error(count / 27)


def test_seeds_are_drawn_anew_for_each_recipe() -> None:
    """Of two recipes alike, each ranks A first with p. A draw of both, half of all draws, has A at 1
    with p², at 2 with (1 - p)²; a draw of one of them twice has it at 1 with p."""
    scores = noisy(2, 5, 1)
    p = statistics.p_beats(statistics.posterior_means(scores))[0, 1]
    assert 0.1 < p < 0.9
    draws = mean_rank_draws([scores, scores])
    shares = {1.0: (p**2 + p) / 2, 1.5: p * (1 - p), 2.0: ((1 - p) ** 2 + 1 - p) / 2}
    for value, share in shares.items():
        # p itself comes from draws: its error enters twice at most.
        assert abs((draws[:, 0] == value).mean() - share) < 3 * error(share)


def test_the_same_scores_give_the_same_draws_and_numbers_of_seeds_may_differ() -> None:
    tables = [noisy(3, seeds, seed) for seed, seeds in enumerate((5, 10, 20))]
    assert np.array_equal(mean_rank_draws(tables), mean_rank_draws(tables))
    assert mean_rank_draws(tables, draws=50).shape == (50, 3)
    assert not np.array_equal(mean_rank_draws(tables), mean_rank_draws(tables, seed=1))


def test_identical_arms_stay_level_in_every_draw() -> None:
    tables = [noisy(3, 5, seed) for seed in range(4)]
    for table in tables:
        table[2] = table[0]
    draws = mean_rank_draws(tables)
    assert np.array_equal(draws[:, 0], draws[:, 2])


def test_spread_is_the_quantiles_of_the_draws_and_holds_the_mean() -> None:
    draws = np.stack([np.linspace(1, 2, 1001), np.full(1001, 3.0)], axis=1)
    one, two = spread(draws, [1.5, 2.9])
    assert (one.mean, one.lo, one.hi) == pytest.approx((1.5, 1.025, 1.975), abs=1e-12)
    assert (two.mean, two.lo, two.hi) == (2.9, 2.9, 3.0)


def test_leaders_and_leaving_one_out_by_hand() -> None:
    """A leads; without the third recipe B does, and without the second both are level."""
    ranks = [[1.5, 1.9, 1.0], [1.2, 2.2, 2.0], [3.0, 3.0, 3.0]]
    assert leaders(ranks) == (0,)
    ranks = [[2.0, 1.0, 1.0], [1.0, 1.5, 2.0], [3.0, 3.5, 3.0]]
    assert leaders(ranks) == (0,)
    assert without_each(ranks) == [(0,), (0, 1), (1,)]


def test_leaders_are_level_whatever_the_order_of_the_sum() -> None:
    ranks = [[1.1, 1.1, 1.2], [1.2, 1.1, 1.1], [2.0, 2.0, 2.0]]
    first, second = np.mean(ranks, axis=1)[:2]
    assert first != second  # by rounding
    assert leaders(ranks) == (0, 1)


def test_leaving_one_of_one_out_is_refused() -> None:
    with pytest.raises(ValueError, match="needs two at least"):
        without_each([[1.0], [2.0]])


@pytest.mark.parametrize("recipes", range(2, 7))
def test_of_few_recipes_all_must_agree_as_in_the_sign_test(recipes: int) -> None:
    assert winner_by_luck(recipes) == pytest.approx(
        stats.binomtest(recipes, recipes, 0.5).pvalue, rel=1e-12
    )


def test_luck_that_one_recipe_more_allows_for() -> None:
    """Seven of eight will do, and six do not: P(B > 4) + P(B = 4) / 2 = 0.93, B ~ Bin(8, 6/8)."""
    assert winner_by_luck(8) == pytest.approx(2 * (1 + 8) / 2**8, rel=1e-12)
    assert winner_by_luck(9) == pytest.approx(2 * (1 + 9) / 2**9, rel=1e-12)
