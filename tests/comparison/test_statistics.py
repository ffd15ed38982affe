"""Every statistic against an independent truth: closed forms, brute force, SciPy, or by hand.

Monte-Carlo comparisons use fixed seeds and bounds of 4 standard errors, computed where used.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from ravine.comparison import statistics
from ravine.comparison.records import Interval
from ravine.comparison.statistics import (
    LOOKS,
    STOP_LEVEL,
    best_of_k,
    credible_best,
    good_band,
    interval,
    mean_ranks,
    median,
    p_beats,
    p_best,
    posterior_means,
    steps_to_target,
    student_weights,
)

DRAWS = 20_000


def paired(arms: int, seeds: int, gap: float = 0.5, seed: int = 0) -> np.ndarray:
    """Scores with a common effect per seed; arm i is worse than arm 0 by i · gap."""
    generator = np.random.default_rng([arms, seeds, seed])
    common = generator.standard_normal(seeds)
    own = generator.standard_normal((arms, seeds))
    return common + own + gap * np.arange(arms)[:, None]


# ------------------------------------------------------------------------------------- interval


def test_interval_follows_the_bca_formula() -> None:
    sample = np.random.default_rng(3).lognormal(size=12)
    means = np.random.default_rng(4).choice(sample, (400_000, 12)).mean(axis=1)
    jackknife = np.array([np.delete(sample, i).mean() for i in range(12)])
    u = jackknife.mean() - jackknife
    acceleration = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
    bias = stats.norm.ppf((means < sample.mean()).mean())
    z = bias + stats.norm.ppf([0.025, 0.975])
    levels = stats.norm.cdf(bias + z / (1 - acceleration * z))
    truth = np.quantile(means, levels)

    found = interval(sample)

    # Standard error of a quantile at level p from 10,000 resamples: √(p (1-p) / 10,000) / density;
    # the error of the bias moves the level by about twice as much again: 4 · √5 of the first.
    density = stats.gaussian_kde(means[:20_000])(truth)
    bound = 4 * math.sqrt(5) * np.sqrt(levels * (1 - levels) / 10_000) / density
    assert abs(found.lo - truth[0]) < bound[0]
    assert abs(found.hi - truth[1]) < bound[1]
    assert found.mean == pytest.approx(sample.mean(), rel=1e-15)
    percentile = np.quantile(means, [0.025, 0.975])
    assert np.all(np.abs(percentile - truth) > bound), "the sample must tell BCa from percentile"


def test_interval_is_scipys_bca_and_reproducible() -> None:
    sample = np.random.default_rng(5).standard_normal(10)
    truth = stats.bootstrap(
        (sample,),
        np.mean,
        method="BCa",
        n_resamples=10_000,
        confidence_level=0.95,
        random_state=np.random.default_rng(0),
    ).confidence_interval
    first = interval(sample)
    np.random.random(100)
    assert interval(sample) == first
    assert (interval(sample).lo, interval(sample).hi) == (truth.low, truth.high)


def test_interval_covers_as_often_as_theory_says() -> None:
    # For normal values of symmetric law the bootstrap interval is x̄ ± 1.96 · s √((n-1)/n) / √n up
    # to higher order, so its coverage is P(|t| < 1.96 √((n-1)/n)), t with n - 1 degrees of freedom.
    n, trials = 20, 400
    reach = stats.norm.ppf(0.975) * math.sqrt((n - 1) / n)
    theory = 2 * stats.t.cdf(reach, n - 1) - 1
    samples = np.random.default_rng(6).standard_normal((trials, n))
    found = [interval(sample) for sample in samples]
    covered = np.mean([i.lo <= 0 <= i.hi for i in found])
    assert abs(covered - theory) < 4 * math.sqrt(theory * (1 - theory) / trials)


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.1], [0.1] * 7, [0.0] * 3, [-3.3] * 20])
def test_interval_of_equal_values_is_that_value(values: list[float]) -> None:
    assert interval(values) == Interval(values[0], values[0], values[0])


@pytest.mark.parametrize("scale", [1e150, 1e-200])
def test_interval_falls_back_to_percentile_where_bca_is_undefined(scale: float) -> None:
    sample = np.array([1.0, 2.0, 4.0]) * scale
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = interval(sample)
    assert found.lo == pytest.approx(scale)  # all three resamples the smallest: 1/27 > 2.5%
    assert found.hi == pytest.approx(4 * scale)
    assert found.mean == pytest.approx(7 / 3 * scale)


def test_interval_of_two_values_spans_them() -> None:
    assert interval([0.0, 1.0]) == Interval(0.5, 0.0, 1.0)


# ---------------------------------------------------------------------------------------- ranks


def test_ranks_are_taken_within_a_seed_and_ties_share() -> None:
    scores = [[0.1, 5.0, 2.0, 7.0], [0.2, 5.0, 2.0, 6.0], [0.3, 1.0, 2.0, 5.0]]
    truth = [[1.0, 2.5, 2.0, 3.0], [2.0, 2.5, 2.0, 2.0], [3.0, 1.0, 2.0, 1.0]]
    assert mean_ranks(scores).tolist() == truth


def test_one_arm_ranks_first() -> None:
    assert mean_ranks([[3.0, 1.0]]).tolist() == [[1.0, 1.0]]


# ------------------------------------------------------------------------------------ posterior


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 20])
@pytest.mark.parametrize("gap", [0.0, 0.3, 1.0])
def test_p_beats_of_two_arms_is_the_paired_t_test(seeds: int, gap: float) -> None:
    scores = paired(2, seeds, gap)
    truth = 1 - stats.ttest_rel(scores[0], scores[1], alternative="less").pvalue
    draws = posterior_means(scores, DRAWS, seed=1)
    beats, best = p_beats(draws), p_best(draws)
    bound = 4 * math.sqrt(truth * (1 - truth) / DRAWS)
    assert abs(beats[0, 1] - truth) < bound
    assert best.tolist() == pytest.approx([beats[0, 1], beats[1, 0]], abs=1e-12)


def test_p_beats_of_many_arms_is_the_paired_t_test_for_every_two() -> None:
    scores = paired(6, 5)  # more arms than seeds: the covariance is singular
    beats = p_beats(posterior_means(scores, DRAWS, seed=2))
    for i, j in itertools.permutations(range(6), 2):
        truth = 1 - stats.ttest_rel(scores[i], scores[j], alternative="less").pvalue
        assert abs(beats[i, j] - truth) < 4 * math.sqrt(truth * (1 - truth) / DRAWS)


@pytest.mark.parametrize("seeds", [5, 10])
def test_p_best_of_three_arms_is_the_multivariate_t_orthant(seeds: int) -> None:
    scores = paired(3, seeds, gap=0.2)
    best = p_best(posterior_means(scores, DRAWS, seed=3))
    for arm in range(3):
        others = [i for i in range(3) if i != arm]
        gaps = scores[arm] - scores[others]
        law = stats.multivariate_t(gaps.mean(axis=1), np.cov(gaps) / seeds, df=seeds - 1, seed=0)
        truth = law.cdf([0.0, 0.0])
        assert abs(best[arm] - truth) < 4 * math.sqrt(truth * (1 - truth) / DRAWS) + 1e-4
    assert best.sum() == pytest.approx(1, abs=1e-12)


def test_draws_have_the_mean_and_covariance_of_the_multivariate_t() -> None:
    n, draws = 12, 200_000
    scores = paired(3, n)
    found = posterior_means(scores, draws, seed=4)
    covariance = np.cov(scores) / n * (n - 1) / (n - 3)
    spread = np.sqrt(np.diag(covariance))
    assert np.all(np.abs(found.mean(axis=0) - scores.mean(axis=1)) < 4 * spread / math.sqrt(draws))
    # Variance of a product of two t variables: at most (2 + κ) σᵢ² σⱼ², κ = 6 / (ν - 4), ν = n - 1.
    error = math.sqrt((2 + 6 / (n - 5)) / draws)
    assert np.all(np.abs(np.cov(found.T) - covariance) < 4 * error * np.outer(spread, spread))


def test_draws_follow_student_t() -> None:
    scores = paired(2, 5)
    for arm, drawn in zip(scores, posterior_means(scores, DRAWS, seed=5).T, strict=True):
        law = stats.t(4, loc=arm.mean(), scale=arm.std(ddof=1) / math.sqrt(5))
        assert stats.kstest(drawn, law.cdf).pvalue > 6e-5  # 4 standard errors, two-sided


def test_what_a_seed_does_to_all_arms_cancels() -> None:
    scores = paired(3, 5)
    moved = scores + 100 * np.random.default_rng(8).standard_normal(5)
    assert np.allclose(
        p_beats(posterior_means(scores)), p_beats(posterior_means(moved)), atol=1e-3, rtol=0
    )


def test_draws_are_reproducible_and_depend_on_the_seed() -> None:
    scores = paired(3, 5)
    first = posterior_means(scores, 100)
    assert first.shape == (100, 3)
    assert np.array_equal(first, posterior_means(scores, 100, seed=0))
    assert not np.array_equal(first, posterior_means(scores, 100, seed=1))


def test_order_of_arms_does_not_matter() -> None:
    scores = paired(4, 5)
    order = [2, 0, 3, 1]
    assert np.array_equal(
        posterior_means(scores, 500)[:, order], posterior_means(scores[order], 500)
    )


def test_an_arm_that_never_varies_against_another_is_certain() -> None:
    draws = posterior_means([[1.0] * 5, [2.0] * 5])
    assert p_best(draws).tolist() == [1.0, 0.0]


def test_student_weights_have_the_scale_of_the_standard_error() -> None:
    weights = student_weights(12, 100_000, np.random.default_rng(0))
    truth = 11 / 9 / (12 * 11)  # E[(n-1)/χ²] / (n (n-1)), E[1/χ²ₙ₋₁] = 1/(n-3)
    error = math.sqrt((2 + 6 / 7) / 100_000)
    assert weights.shape == (100_000, 12)
    assert np.all(np.abs(weights.var(axis=0) / truth - 1) < 4 * error)


# ----------------------------------------------------------------------------------------- ties


@pytest.mark.parametrize("arms", range(2, 12))
@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize("draws", [7, 1000, 1001])
def test_identical_arms_get_identical_draws(arms: int, seeds: int, draws: int) -> None:
    # A plain matrix product rounds the last rows and columns of a block differently.
    scores = paired(arms, seeds)
    scores = np.vstack([scores, scores[:1], scores[:1]])
    drawn = posterior_means(scores, draws)
    assert np.array_equal(drawn[:, 0], drawn[:, -1])
    assert np.array_equal(drawn[:, 0], drawn[:, -2])


@pytest.mark.parametrize("arms", [2, 3, 5, 7, 9])
@pytest.mark.parametrize("seeds", [2, 5, 10, 20])
def test_identical_arms_share_exactly_and_are_never_a_lone_winner(arms: int, seeds: int) -> None:
    one = np.random.default_rng([arms, seeds]).standard_normal(seeds)
    worse = one + 100 + np.random.default_rng(0).random(seeds)
    scores = np.vstack([worse] + [one] * arms)
    draws = posterior_means(scores, 1000)
    best, beats = p_best(draws), p_beats(draws)
    assert np.all(draws[:, 1:] == draws[:, 1:2])
    assert len(set(best[1:].tolist())) == 1
    assert np.all(beats[1:, 1:] == 0.5)
    assert set(credible_best(best)) >= set(range(1, arms + 1))


def test_p_best_splits_a_draw_among_its_lowest_arms() -> None:
    draws = np.array([[1.0, 1.0, 2.0], [0.0, 3.0, 4.0], [5.0, 5.0, 5.0], [2.0, 2.0, 1.0]])
    truth = [(1 / 2 + 1 + 1 / 3) / 4, (1 / 2 + 1 / 3) / 4, (1 / 3 + 1) / 4]
    assert p_best(draws) == pytest.approx(truth, abs=1e-15)
    several = np.stack([draws, draws[:, ::-1]], axis=1)
    assert p_best(several) == pytest.approx(np.array([truth, truth[::-1]]), abs=1e-15)


def test_p_beats_counts_ties_half() -> None:
    beats = p_beats(np.array([[1.0, 1.0], [0.0, 3.0], [5.0, 4.0], [2.0, 3.0]]))
    assert beats.tolist() == [[0.5, 2.5 / 4], [1.5 / 4, 0.5]]


# --------------------------------------------------------------------------------- credible set


@pytest.mark.parametrize(
    ("share", "level", "best"),
    [
        ([0.01, 0.99], 0.95, (1,)),
        ([0.01, 0.96, 0.03], 0.95, (1,)),
        ([0.06, 0.94], 0.95, (1, 0)),
        ([0.5, 0.45, 0.05], 0.95, (0, 1)),
        ([0.1, 0.6, 0.3], 0.95, (1, 2, 0)),
        ([0.2, 0.5, 0.3], 0.8, (1, 2)),
        ([0.5, 0.5], 0.4, (0, 1)),  # no lone winner among equals, whatever the level
        ([0.9, 0.05, 0.05], 0.95, (0, 1, 2)),
        ([0.7, 0.2, 0.1], 0.9, (0, 1)),  # 0.7 + 0.2 < 0.9 in floating point
        ([0.7, 0.2, 0.1], 1.0, (0, 1, 2)),
        ([1.0], 0.95, (0,)),
        ([1.0, 0.0], 1.0, (0,)),
    ],
)
def test_credible_set(share: list[float], level: float, best: tuple[int, ...]) -> None:
    assert credible_best(share, level) == best


def test_credible_set_is_strict_unless_told_otherwise() -> None:
    assert credible_best([0.97, 0.03]) == (0, 1)
    assert credible_best([0.97, 0.03], level=0.95) == (0,)


def test_stop_level_keeps_the_promise_of_one_look() -> None:
    trials = 50_000
    gaps = np.random.default_rng(11).standard_normal((trials, LOOKS[-1]))
    sure = np.zeros(trials)
    for seeds in LOOKS:
        t = stats.ttest_1samp(gaps[:, :seeds], 0, axis=1).statistic
        sure = np.maximum(sure, stats.t.cdf(np.abs(t), seeds - 1))
    error = 4 * math.sqrt(0.1 * 0.9 / trials)
    assert (sure >= 0.95).mean() > 0.2
    assert (sure >= STOP_LEVEL).mean() < 0.1 + error
    assert (sure >= STOP_LEVEL - 0.01).mean() > 0.1 + error


# --------------------------------------------------------------------------------------- curves


def test_steps_to_target_by_hand() -> None:
    steps = [[0, 10, 20, 30], [0, 10], [0, 10, 20], [0, 5], []]
    values = [[3, 1, 0.5, 2], [3, 2], [math.nan, math.nan, 0.9], [1.0, 0], []]
    assert steps_to_target(steps, values, 1.0).tolist() == [10, math.inf, 20, 0, math.inf]


def test_a_diverged_run_misses_the_target() -> None:
    found = steps_to_target([[0, 1, 2]], [[2.0, math.inf, math.nan]], 1.0)
    assert found.tolist() == [math.inf]


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([3.0, 1.0, 2.0], 2.0),
        ([1.0, 2.0, math.inf], 2.0),
        ([1.0, math.inf, math.inf], math.inf),
        ([1.0, 2.0, 4.0, math.inf], 3.0),
        ([1.0, 2.0, math.inf, math.inf], math.inf),
        ([math.inf] * 4, math.inf),
        ([7.0], 7.0),
    ],
)
def test_median_counts_misses(values: list[float], middle: float) -> None:
    assert median(values) == middle


# ------------------------------------------------------------------------------------ best of k


@pytest.mark.parametrize("n", range(1, 10))
def test_best_of_k_is_the_mean_over_all_subsets(n: int) -> None:
    values = np.round(np.random.default_rng(n).standard_normal(n), 1)  # some are tied
    truth = [
        np.mean([min(chosen) for chosen in itertools.combinations(values, k)])
        for k in range(1, n + 1)
    ]
    assert best_of_k(values) == pytest.approx(truth, abs=1e-12)


def test_best_of_k_of_many_values_stays_exact() -> None:
    found = best_of_k(np.arange(200.0)[::-1])
    truth = [201 / (k + 1) - 1 for k in range(1, 201)]  # mean minimum of k of 0 ... 199
    assert found == pytest.approx(truth, abs=1e-10)


# ----------------------------------------------------------------------------------------- band

RATES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]


@pytest.mark.parametrize(
    ("scores", "chosen", "share", "band"),
    [
        # best 0.1, baseline 1.1: good up to 0.2 at share 0.1
        ([0.9, 0.19, 0.1, 0.15, 0.5, 1.0], 0.01, 0.1, (0.003, 0.03)),
        ([0.9, 0.19, 0.1, 0.15, 0.5, 1.0], 0.01, 0.45, (0.003, 0.1)),
        ([0.1, 0.15, 0.1, 0.1, 0.1, 0.1], 0.01, 0.1, (0.001, 0.3)),
        ([0.15, 0.9, 0.1, 0.9, 0.15, 0.15], 0.01, 0.1, (0.01, 0.01)),  # good ones beyond a gap
        ([0.15, None, 0.1, 0.15, math.nan, 0.15], 0.01, 0.1, (0.01, 0.03)),
        ([0.9, 0.9, 0.9, 0.15, 0.1, math.inf], 0.1, 0.1, (0.03, 0.1)),
        ([0.1, 0.15, 0.9, None, None, None], 0.001, 0.1, (0.001, 0.003)),
        ([0.1, 0.1, None, 0.1, 0.1, 0.1], 0.01, 0.1, (0.001, 0.3)),  # chosen is inside
        ([None] * 6, 0.01, 0.1, (0.01, 0.01)),
        ([2.0, 1.5, 1.2, 1.5, 2.0, 3.0], 0.01, 0.1, (0.01, 0.01)),  # nothing beats the baseline
    ],
)
def test_band_by_hand(
    scores: list[float | None], chosen: float, share: float, band: tuple[float, float]
) -> None:
    assert good_band(RATES, scores, chosen, 1.1, share) == pytest.approx(band)
    back = good_band(RATES[::-1], scores[::-1], chosen, 1.1, share)
    assert back == pytest.approx(band)


def test_the_edge_of_the_band_belongs_to_it() -> None:
    assert good_band([1.0, 2.0, 3.0], [0.0, 0.25, 0.5], 1.0, 1.0, share=0.25) == (1.0, 2.0)


# --------------------------------------------------------------------------------------- errors

BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("function", [interval, best_of_k])
def test_values_must_be_finite(function: Callable[..., object], bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        function([1.0, bad])


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("function", [mean_ranks, posterior_means])
def test_scores_must_be_finite(function: Callable[..., object], bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        function([[1.0, 2.0], [1.0, bad]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval([]), "not be empty"),
        (lambda: interval([[1.0]]), "shape"),
        (lambda: mean_ranks([1.0, 2.0]), "arms, seeds"),
        (lambda: posterior_means([[1.0], [2.0]]), "at least 2 seeds"),
        (lambda: credible_best([0.5, 0.5], level=0.0), "level"),
        (lambda: credible_best([0.5, 0.5], level=1.1), "level"),
        (lambda: credible_best([0.5, 0.4]), "sum to 1"),
        (lambda: credible_best([1.5, -0.5]), "sum to 1"),
        (lambda: steps_to_target([[0]], [[1.0]], math.nan), "NaN"),
        (lambda: steps_to_target([[0], [0]], [[1.0]], 1.0), "2 runs"),
        (lambda: steps_to_target([[0, 1]], [[1.0]], 1.0), "do not fit"),
        (lambda: steps_to_target([[1, 0]], [[1.0, 1.0]], 1.0), "ascend"),
        (lambda: median([]), "without NaN"),
        (lambda: median([1.0, math.nan]), "without NaN"),
        (lambda: good_band([1.0], [1.0, 2.0], 1.0, 1.0), "2 scores"),
        (lambda: good_band([1.0, 1.0], [1.0, 2.0], 1.0, 1.0), "distinct"),
        (lambda: good_band([1.0, 2.0], [1.0, 2.0], 3.0, 1.0), "3.0"),
        (lambda: good_band([1.0], [1.0], 1.0, math.nan), "baseline"),
    ],
)
def test_bad_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_inputs_are_left_alone() -> None:
    scores = paired(3, 5)
    before = scores.copy()
    posterior_means(scores, 10)
    mean_ranks(scores)
    interval(scores[0])
    best_of_k(scores[0])
    assert np.array_equal(scores, before)
    assert statistics.RESAMPLES == 10_000
