"""The statistics of a comparison: pure functions on arrays, every score "lower is better".

A score array has shape [arms, seeds]. A seed fixes initialization and data order for all arms, so a
column is paired: what a lucky seed gives to one arm it gives to the others. No NaN and no infinity
comes here, except where a function says so: a diverged run counts as the worst value and is never
dropped, which is the caller's decision; anything else raises ValueError.

What decides is `posterior_means` -> `p_best` -> `credible_best`. The rest describes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ravine.comparison.records import Interval

Array = NDArray[np.float64]

LOOKS = (5, 10, 20)
"""Numbers of fresh seeds at which the comparison may stop."""

STOP_LEVEL = 0.98
"""P(best) at which a comparison that looks at 5, 10 and 20 seeds may stop and name a winner.

One look at P(best) >= 0.95 names the worse of two arms in at most 5% of comparisons. Where they
hardly differ it names either one in 5%, so two identical arms get a "winner" in 10%.
Three looks at 0.95 are three chances to be lucky: 22% (closed form for two arms, 400,000 simulated
comparisons, benchmarks/calibration.py). The constant level that makes the promise of one look hold
for all three is 0.979 (Pocock 1977, https://doi.org/10.1093/biomet/64.2.191); 0.98 gives 9.7%, of
which half name the worse arm of two that hardly differ.

Two arms ahead of the rest are the worst case: 9% with four more arms behind, and far less when
three (1.3%) or six (under 0.1%) arms are all alike, since the winner must then beat every other.
The price: of two arms half a standard deviation apart, 57% of comparisons name the better one
instead of 74%; at one standard deviation 99%, after 10 seeds instead of 8 on average.
"""

DRAWS = 20_000
"""From a posterior."""

RESAMPLES = 10_000
COVERAGE = 0.95


def interval(values: ArrayLike) -> Interval:
    """Mean over seeds with a 95% bootstrap interval, bias-corrected and accelerated (BCa).

    The BCa interval goes from the α₁ to the α₂ quantile of the resampled means, where
        α = Φ(z₀ + (z₀ + z) / (1 - a (z₀ + z))),   z = Φ⁻¹(0.025), Φ⁻¹(0.975),
    z₀ = Φ⁻¹(share of resampled means below the mean) and a = Σ u³ / (6 (Σ u²)^1.5), u the
    deviations of the jackknife. Source: Efron 1987,
    https://doi.org/10.1080/01621459.1987.10478410.

    The bootstrap of few values is too short: for a normal metric this interval holds the true mean
    in 84% of cases at 5 seeds, 90% at 10 and 93% at 20 (benchmarks/calibration.py). It describes
    the spread of what was seen; the decision rests on `posterior_means`.

    Equal values, or a single one, v give [v, v]. Where BCa is undefined (the acceleration over- or
    underflows) the percentile interval takes its place. The same values always give the same
    interval, whatever was drawn before.

    Args:
        values: one per seed, [seeds].
    """
    sample = _vector(values, "values")
    if np.all(sample == sample[0]):
        only = float(sample[0])
        return Interval(mean=only, lo=only, hi=only)
    lo, hi = _bootstrap(sample, "BCa")
    if not (math.isfinite(lo) and math.isfinite(hi)):
        lo, hi = _bootstrap(sample, "percentile")
    return Interval(mean=float(sample.mean()), lo=lo, hi=hi)


def over_examples(values: ArrayLike) -> Interval:
    """Mean over examples with a 95% percentile bootstrap interval, for as many values as data have.

    Args:
        values: one per example, [examples].
    """
    sample = _vector(values, "values")
    lo, hi = _bootstrap(sample, "percentile", at_once=max(1, 10**6 // len(sample)))
    return Interval(float(sample.mean()), lo, hi)


def signed(interval: Interval, sign: int) -> Interval:
    """The interval of the negated metric if sign is -1, else the same."""
    lo, hi = sorted((sign * interval.lo, sign * interval.hi))
    return Interval(sign * interval.mean, lo, hi)


def _bootstrap(sample: Array, method: str, at_once: int | None = None) -> tuple[float, float]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # "BCa is undefined": `interval` sees the NaN itself
        found = stats.bootstrap(
            (sample,),
            np.mean,
            confidence_level=COVERAGE,
            n_resamples=RESAMPLES,
            method=method,
            batch=at_once,
            random_state=np.random.default_rng(0),
        ).confidence_interval
    return float(found.low), float(found.high)


def mean_ranks(scores: ArrayLike) -> Array:
    """Rank of every arm within every seed, 1 is best; tied arms share the average of their ranks.

    A row of the result, given to `interval`, is an arm's mean rank over seeds.

    Args:
        scores: [arms, seeds].

    Returns:
        [arms, seeds]; every column sums to arms · (arms + 1) / 2.
    """
    return np.asarray(stats.rankdata(_matrix(scores), axis=0), dtype=np.float64)


def posterior_means(scores: ArrayLike, draws: int = DRAWS, seed: int = 0) -> Array:
    """Joint draws of the arms' expected scores, given paired scores of a few seeds.

    Multivariate Student-t with n - 1 degrees of freedom, n seeds, x̄ [arms] the means and S the
    sample covariance [arms, arms] between arms:

        μ = x̄ + √((n-1) / χ²ₙ₋₁) · Z (X - x̄)ᵀ / √(n (n-1)),   Z ~ N(0, 1)ⁿ,   so μ ~ tₙ₋₁(x̄, S / n)

    One Z and one χ² serve all arms of a draw, which keeps the pairing: for every two arms the
    difference μᵢ - μⱼ is exactly the t of the paired t-test, and what a seed does to both arms
    cancels. It is the posterior of a normal mean under the prior |Σ|⁻ᵃʳᵐˢ (priors of this kind:
    Geisser and Cornfield 1963, Journal of the Royal Statistical Society B 25, 368-376). The draws
    need no inverse of S, so there may be more arms than seeds.

    Why not the plain bootstrap over seeds: with n = 5 and one arm ahead in all five, every resample
    has it ahead and the bootstrap is certain, yet of two identical arms one gets there by luck in
    2 · 2⁻⁵ = 6% of comparisons. How often two identical arms with normal scores get a winner:

        P(best) >=   looks          this posterior   bootstrap
        0.95         5                    10%           22%
        0.95         5, 10, 20            22%           36%
        0.98         5, 10, 20            10%           23%

    With other noise the last line reads 8% against 24% (skewed), 5% against 26% (one run in ten
    diverged), 10% against 23% (coarse). At equal rates of false winners, 23%, this posterior finds
    the better of two arms half a standard deviation apart more often: in 74% of comparisons
    against 70%. Source: benchmarks/calibration.py.

    Arms with identical scores get identical draws, to the last bit.

    Args:
        scores: [arms, seeds], at least 2 seeds.
        draws: how many joint draws. P(best) near 0.98 has a Monte-Carlo error of √(0.02 / draws).
        seed: of the generator; the same scores and seed give the same draws.

    Returns:
        [draws, arms].
    """
    table = _matrix(scores)
    if table.shape[1] < 2:
        raise ValueError("posterior_means needs at least 2 seeds, got scores of 1 seed.")
    # Matrix products may round equal columns differently, and that would break an exact tie.
    distinct, back = np.unique(table, axis=0, return_inverse=True)
    means = distinct.mean(axis=1)
    weights = student_weights(table.shape[1], draws, np.random.default_rng(seed))
    drawn = means + weights @ (distinct - means[:, None]).T
    return np.asarray(drawn[:, back.reshape(-1)], dtype=np.float64)


def student_weights(seeds: int, draws: int, generator: np.random.Generator) -> Array:
    """The random weights on seeds that make `posterior_means`: √((n-1)/χ²ₙ₋₁) · Z / √(n (n-1)).

    The plain bootstrap has the same form with multinomial weights: counts / n.

    Args:
        seeds: n, at least 2.
        draws: how many.
        generator: where the noise comes from.

    Returns:
        [draws, seeds].
    """
    normal = generator.standard_normal((draws, seeds))
    freedom = seeds - 1
    spread = np.sqrt(freedom / generator.chisquare(freedom, size=(draws, 1)))
    return np.asarray(spread * normal / math.sqrt(seeds * freedom), dtype=np.float64)


def p_best(draws: Array) -> Array:
    """Probability that an arm's expected score is the lowest: its share of draws in which it is.

    A draw in which m arms are lowest counts 1/m for each, so identical arms share.

    Args:
        draws: [draws, ..., arms] of `posterior_means`.

    Returns:
        [..., arms], summing to 1 over arms.
    """
    lowest = draws == draws.min(axis=-1, keepdims=True)
    shares = lowest / lowest.sum(axis=-1, keepdims=True)
    return np.asarray(shares.mean(axis=0), dtype=np.float64)


def p_beats(draws: Array) -> Array:
    """Probability that the expected score of the row's arm is lower than that of the column's.

    P(i beats j) = P(μᵢ < μⱼ) + P(μᵢ = μⱼ) / 2: ties count half, so P + Pᵀ = 1, diagonal 0.5.

    Args:
        draws: [draws, arms] of `posterior_means`.

    Returns:
        [arms, arms].
    """
    row, column = draws[:, :, None], draws[:, None, :]
    return np.asarray((row < column).mean(axis=0) + 0.5 * (row == column).mean(axis=0))


def credible_best(p_best: ArrayLike, level: float = STOP_LEVEL) -> tuple[int, ...]:
    """The smallest set of arms that holds the best one with probability >= level, best arm first.

    One member means a winner. An arm exactly as probable as the last one taken in belongs to the
    set as well, so arms that the data cannot tell apart are never told apart by their order.

    Args:
        p_best: probability of being best, [arms], summing to 1.
        level: within (0, 1]. The default is for looks at 5, 10 and 20 seeds, see `STOP_LEVEL`;
            for one look at a number of seeds fixed beforehand it would be 0.95.

    Returns:
        indices of arms, most probable first; of equals, the earlier one first.
    """
    share = _vector(p_best, "p_best")
    if not 0 < level <= 1:
        raise ValueError(f"level must lie within (0, 1], got {level}.")
    if np.any(share < 0) or not math.isclose(share.sum(), 1, abs_tol=1e-6):
        raise ValueError(f"p_best must hold probabilities that sum to 1, got {share.tolist()}.")
    order = np.argsort(-share, kind="stable")
    rounding = 1e-12
    enough = np.cumsum(share[order]) >= level * share.sum() - rounding
    last = share[order[int(np.argmax(enough))]]
    return tuple(int(arm) for arm in order if share[arm] >= last)


def steps_to_target(
    curves_steps: Sequence[ArrayLike], curves_values: Sequence[ArrayLike], target: float
) -> Array:
    """First step at which each run's value is at or below the target; infinite for a miss.

    A miss is not dropped: a median over seeds stays honest with infinities in it, see `median`.
    Values may be NaN or infinite here, as a diverging run's are; NaN meets no target.

    Args:
        curves_steps: per run, the steps (or seconds) of its evaluations, ascending, [points].
        curves_values: per run, the values there, [points]; runs may differ in length.
        target: the value to reach.

    Returns:
        [runs].
    """
    if math.isnan(target):
        raise ValueError("target is NaN; expected a number.")
    if len(curves_steps) != len(curves_values):
        raise ValueError(f"got steps of {len(curves_steps)} runs, values of {len(curves_values)}.")
    firsts = [_first(s, v, target) for s, v in zip(curves_steps, curves_values, strict=True)]
    return np.array(firsts, dtype=np.float64)


def _first(steps: ArrayLike, values: ArrayLike, target: float) -> float:
    at, value = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if at.ndim != 1 or at.shape != value.shape:
        raise ValueError(f"steps of shape {at.shape} and values of shape {value.shape} do not fit.")
    if not np.all(np.diff(at) >= 0):
        raise ValueError("the steps of a curve must ascend.")
    hits = np.flatnonzero(value <= target)
    return float(at[hits[0]]) if hits.size else math.inf


def median(values: ArrayLike) -> float:
    """Median over seeds; infinity is allowed and means a miss.

    With an even number of values it is the mean of the middle two: infinite if half of them miss.

    Args:
        values: [seeds], no NaN.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or np.isnan(sample).any():
        raise ValueError(f"median needs a list of numbers without NaN, got {sample.tolist()}.")
    return float(np.median(sample))


def best_of_k(values: ArrayLike) -> Array:
    """Expected lowest value among k trials, k = 1 ... n: what a tuning budget of k trials buys.

    Unbiased: the exact mean of the minimum over all subsets of size k, drawn without replacement.
    With v₍₁₎ <= ... <= v₍ₙ₎ the minimum is v₍ᵢ₎ if the other k - 1 lie among the n - i larger ones:

        best(k) = Σᵢ v₍ᵢ₎ · C(n - i, k - 1) / C(n, k)

    The usual estimate draws with replacement and is biased, as the best value may be missing from
    a draw of n. Source: Tang et al. 2020, "Showing Your Work Doesn't Always Work",
    https://aclanthology.org/2020.acl-main.246.

    Args:
        values: one per trial, [n].

    Returns:
        [n], never rising; the first is the mean, the last the minimum.
    """
    ordered = np.sort(_vector(values, "values"))
    n = ordered.size
    weights = [
        [math.comb(n - i, k - 1) / math.comb(n, k) for i in range(1, n + 1)]
        for k in range(1, n + 1)
    ]
    return np.asarray(np.array(weights) @ ordered, dtype=np.float64)


def good_band(
    lrs: Sequence[float],
    scores: Sequence[float | None],
    chosen: float,
    baseline: float,
    share: float = 0.1,
) -> tuple[float, float]:
    """The range of learning rates around the chosen one that do nearly as well.

    Good means: at most `share` of the way from the best score up to the untrained model's,
        score <= best + share · max(baseline - best, 0).
    The band grows from the chosen rate to both sides, over neighbours that are good; a rate that is
    not good, or diverged, ends it. The chosen rate always belongs to it.

    Args:
        lrs: the learning rates tried, distinct, in any order.
        scores: one per rate; None, NaN or infinite where it diverged.
        chosen: one of `lrs`.
        baseline: score of the untrained model.
        share: width of what counts as good.

    Returns:
        lowest and highest rate of the band.
    """
    if len(lrs) != len(scores):
        raise ValueError(f"got {len(lrs)} learning rates and {len(scores)} scores.")
    if len(set(lrs)) != len(lrs) or chosen not in lrs:
        raise ValueError(f"expected distinct learning rates, {chosen} among them, got {lrs}.")
    if not math.isfinite(baseline):
        raise ValueError(f"baseline must be finite, got {baseline}.")
    healthy = {
        lr: score
        for lr, score in zip(lrs, scores, strict=True)
        if score is not None and math.isfinite(score)
    }
    best = min(healthy.values(), default=baseline)
    limit = best + share * max(baseline - best, 0.0)
    good = {lr for lr, score in healthy.items() if score <= limit}
    below = sorted((lr for lr in lrs if lr < chosen), reverse=True)
    above = sorted(lr for lr in lrs if lr > chosen)
    return _farthest(chosen, below, good), _farthest(chosen, above, good)


def _farthest(start: float, outward: Sequence[float], good: set[float]) -> float:
    """The last rate that is reached from `start` by going outward over good rates only."""
    reached = start
    for lr in outward:
        if lr not in good:
            break
        reached = lr
    return float(reached)


def _vector(values: ArrayLike, name: str) -> Array:
    return _finite(values, name, 1, "[n]")


def _matrix(scores: ArrayLike) -> Array:
    return _finite(scores, "scores", 2, "[arms, seeds]")


def _finite(values: Any, name: str, dimensions: int, shape: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or array.size == 0:
        raise ValueError(f"{name} must have shape {shape} and not be empty, got {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; give a diverged run the worst value instead.")
    return array
