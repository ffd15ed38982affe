"""Claims against Student's t in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from ravine.reproduce.claims import EVEN, NOISE, Claim, Judged, ahead, judge

NAMES = ("adam", "sgd", "far")
RNG = np.random.default_rng(0)
SEEDS = 8
SCORES = np.stack(
    [0.30 + 0.01 * RNG.standard_normal(SEEDS), 0.305 + 0.01 * RNG.standard_normal(SEEDS),
     np.full(SEEDS, 1.0)]
)  # fmt: skip
ERROR = 5 * math.sqrt(0.25 / 20_000)
"""Five standard errors of a share of the 20,000 draws."""


def test_ahead_is_the_paired_t_test():
    gaps = SCORES[1] - SCORES[0]
    t = gaps.mean() / (gaps.std(ddof=1) / math.sqrt(SEEDS))
    expected = stats.t.cdf(t, SEEDS - 1)
    found = judge(Claim("adam", "ahead", "sgd"), SCORES, NAMES)
    assert found.p == pytest.approx(expected, abs=ERROR)
    other = judge(Claim("sgd", "ahead", "adam"), SCORES, NAMES)
    assert other.p == pytest.approx(1 - expected, abs=ERROR)


def test_even_is_a_difference_small_beside_the_span():
    gaps = SCORES[1] - SCORES[0]
    scale = gaps.std(ddof=1) / math.sqrt(SEEDS)
    span = 1.0 - min(SCORES[0].mean(), SCORES[1].mean())  # hardly varies: 0.7
    low, high = ((bound * EVEN * span - gaps.mean()) / scale for bound in (-1, 1))
    expected = stats.t.cdf(high, SEEDS - 1) - stats.t.cdf(low, SEEDS - 1)
    found = judge(Claim("adam", "even", "sgd"), SCORES, NAMES)
    assert found.p == pytest.approx(expected, abs=ERROR + 0.01)
    assert judge(Claim("adam", "even", "far"), SCORES, NAMES).p == 0


def test_reaching_is_being_behind_by_less_than_a_single_run_varies():
    scores = SCORES.copy()
    scores[1] += 0.016  # near the margin, where it matters
    gaps = scores[1] - scores[0]
    freedom = SEEDS - 1
    t, chi2 = stats.t(freedom), stats.chi2(freedom)
    error = gaps.std(ddof=1) / math.sqrt(SEEDS)

    def given(x):  # the deviation that χ² = x draws
        margin = NOISE * scores[0].std(ddof=1) * math.sqrt(freedom / x)
        return chi2.pdf(x) * t.cdf((margin - gaps.mean()) / error)

    expected, _ = integrate.quad(given, 0, np.inf)
    assert 0.1 < expected < 0.9
    found = judge(Claim("sgd", "reaches", "adam"), scores, NAMES)
    assert found.p == pytest.approx(expected, abs=ERROR)
    assert judge(Claim("far", "reaches", "adam"), SCORES, NAMES).p < 0.01
    assert judge(Claim("adam", "reaches", "far"), SCORES, NAMES).p == 1


def test_a_line_that_diverged_makes_no_others_alike():
    """A third line at 10 stretches the span to 9.7, a tenth of which is more than 0.7."""
    scores = np.vstack([SCORES, np.full(SEEDS, 10.0)])
    names = (*NAMES, "lost")
    claim = Claim("adam", "even", "far")
    assert judge(claim, scores, names).p == 1
    assert judge(claim, scores, names, {"lost"}).p == 0
    one = Claim("adam", "even", "sgd")
    assert judge(one, scores, names, {"lost"}).p == judge(one, SCORES, NAMES).p
    assert judge(one, scores, names, {"lost", "far"}).verdict == "undecided"


def test_nothing_is_said_of_reaching_a_line_that_diverged():
    scores = SCORES.copy()
    scores[1, 0] = 10.0
    found = judge(Claim("far", "reaches", "sgd"), scores, NAMES, {"sgd"})
    assert (found.p, found.verdict) == (None, "undecided")


@pytest.mark.parametrize(
    ("p", "verdict"),
    [(0.95, "holds"), (0.949, "undecided"), (0.051, "undecided"), (0.05, "does not hold")],
)
def test_verdicts(p, verdict):
    assert Judged(Claim("adam", "ahead", "sgd"), p).verdict == verdict


def test_claims_in_print():
    titles = {"adam": "Adam", "sgd": "SGD"}
    assert Claim("adam", "ahead", "sgd").said(titles) == "Adam ahead of SGD"
    assert Claim("adam", "reaches", "sgd").said(titles) == "Adam reaches SGD"
    assert ahead("adam", "sgd", share=0.5) == (Claim("adam", "ahead", "sgd", 0.5),)
    early = Claim("adam", "even", "sgd", share=1 / 15)
    assert early.said(titles) == "Adam ~ SGD after 7% of the training"
