"""The effect of one choice, averaged over the others, against SciPy's paired t-test."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from ravine.comparison.effects import effects

STARTS, RATES = ("he", "glorot"), ("constant", "cosine")
ARMS = [f"sgd/{begin}/{rate}" for begin, rate in product(STARTS, RATES)]
PARTS = {
    name: {"optimizer": "sgd", "init": begin, "schedule": rate, "batches": "shuffled"}
    for name, (begin, rate) in zip(ARMS, product(STARTS, RATES), strict=True)
}


def scores(seed: int = 0) -> np.ndarray:
    """He is better than Glorot by 0.4 on average, cosine than constant by 0.2; noise 0.3."""
    noise = np.random.default_rng(seed).normal(0, 0.3, (4, 10))
    return 3 + noise + np.array([[0.2], [0.0], [0.6], [0.4]])


def test_levels_are_means_over_the_arms_that_take_them():
    table = scores()
    by_name = {effect.dimension: effect for effect in effects(ARMS, PARTS, table, 1)}
    assert list(by_name) == ["init", "schedule"]
    means = {"he": table[:2].mean(axis=0), "glorot": table[2:].mean(axis=0)}
    first, second = by_name["init"].levels
    assert (first.name, second.name) == ("he", "glorot")
    for level in (first, second):
        assert level.validation.mean == pytest.approx(means[level.name].mean(), rel=1e-12)
    behind = (means["glorot"] - means["he"]).mean()
    assert second.behind.mean == pytest.approx(behind, rel=1e-12)
    assert second.behind.lo < behind < second.behind.hi
    assert (first.behind.mean, first.behind.lo, first.behind.hi) == (0, 0, 0)


def test_probabilities_are_those_of_a_paired_t_test():
    """P(best) of two levels is the t distribution's tail; 20,000 draws: within 4 standard errors."""
    table = scores(1)
    for effect in effects(ARMS, PARTS, table, 1):
        rows = {"init": ((0, 1), (2, 3)), "schedule": ((0, 2), (1, 3))}[effect.dimension]
        a, b = (table[list(of)].mean(axis=0) for of in rows)
        names = {"init": STARTS, "schedule": RATES}[effect.dimension]
        expected = stats.ttest_rel(a, b, alternative="less").pvalue
        p = {level.name: level.p_best for level in effect.levels}
        error = 4 * np.sqrt(max(expected * (1 - expected), 1e-4) / 20_000)
        assert abs(p[names[0]] - (1 - expected)) <= error
        assert sum(p.values()) == pytest.approx(1)


def test_where_larger_is_better_the_best_is_still_first():
    found = effects(ARMS, PARTS, scores(), -1)  # scores are negated metrics
    best, worst = found[0].levels
    assert best.validation.mean == pytest.approx(-scores()[:2].mean(), rel=1e-12)
    assert best.validation.lo <= best.validation.mean <= best.validation.hi
    assert best.validation.mean > worst.validation.mean


def test_one_choice_alone_has_no_effect_of_its_own():
    names = ARMS[:2]
    assert effects(names, {name: PARTS[name] for name in names}, scores()[:2], 1) == ()
