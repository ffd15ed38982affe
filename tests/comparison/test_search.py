"""Which learning rates are tried, kept and added."""

from __future__ import annotations

import math

import pytest

from ravine.comparison.search import WORST, best, extension, grid, survivors, tidy, unsettled
from ravine.errors import SettingError


def test_grid_is_half_decades_around_the_default():
    assert grid(1e-3) == [1e-5, 3.162e-5, 1e-4, 3.162e-4, 1e-3, 3.162e-3, 1e-2, 3.162e-2, 0.1]


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_grid_needs_a_positive_rate(rate):
    with pytest.raises(SettingError, match="above 0"):
        grid(rate)


def scores(*values):
    """Scores for the rates 1, 2, 3, ...; None diverged."""
    return {float(i + 1): WORST if v is None else (v, 0.0) for i, v in enumerate(values)}


def test_survivors_are_the_best_third_but_three_at_least():
    assert survivors(scores(9, 8, 1, 2, 3, 7, 6, 5, 4)) == [2.0, 3.0, 4.0]
    assert survivors(scores(5, 1, 2, 3, 9, 9, 9, 9, 9, 9)) == [1.0, 2.0, 3.0, 4.0]


def test_survivors_include_the_next_lower_rate():
    assert survivors(scores(9, 8, 7, 1, 2, 3, None, None, None)) == [3.0, 4.0, 5.0]
    assert survivors(scores(1, 2, 3, 4, 5, 6, 7, 8, 9)) == [1.0, 2.0, 3.0]


def test_a_diverged_rate_ranks_last_but_is_kept_if_too_few_are_left():
    assert survivors(scores(1, None, None, None)) == [1.0, 2.0, 3.0]


def test_the_cost_breaks_ties_and_then_the_lower_rate_wins():
    assert best({1.0: (0.1, 0.5), 2.0: (0.1, 0.4)}) == 2.0
    assert best({2.0: (0.1, 0.4), 1.0: (0.1, 0.4)}) == 1.0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((1, 2, 3), "the lowest tried"),
        ((3, 2, 1), "the highest tried"),
        ((3, 1, 2), None),
        ((3, 1, None), "next to one that diverged"),
    ],
)
def test_unsettled(values, reason):
    tried = {10.0**rate: score for rate, score in scores(*values).items()}
    assert unsettled(best(tried), tried) == reason


def test_a_quarter_decade_below_divergence_is_settled():
    tried = {1.0: (2.0, 0.0), 10.0: (1.0, 0.0), tidy(10 * 10**0.25): WORST}
    assert unsettled(10.0, tried) is None


def test_extension_goes_beyond_an_edge_or_between_neighbours():
    tried = {1.0: (1.0, 0.0), 10.0: (2.0, 0.0), 100.0: (3.0, 0.0)}
    assert extension(1.0, tried) == [0.1, 0.3162]
    assert extension(100.0, tried) == [316.2, 1000.0]
    assert extension(10.0, tried) == [3.162, 31.62]
