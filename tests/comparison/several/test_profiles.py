"""Performance profiles by hand, and against a brute force that integrates on a grid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ravine.comparison.several.profiles import TAU_MAX, performance_ratios, profile, profile_score

INF = math.inf

TIMES = [
    [10, 300, INF, INF],  # fastest once, twice as slow once
    [20, 100, 50, INF],  # twice as slow once, fastest twice
    [50, 110, 50, INF],  # out of reach of 4 times once, a tie for the fastest once
]
RATIOS = [[1, 3, INF, INF], [2, 1, 1, INF], [5, 1.1, 1, INF]]


def test_ratios_by_hand() -> None:
    assert performance_ratios(TIMES) == pytest.approx(np.array(RATIOS), rel=1e-15)


def test_the_fastest_at_the_start_has_ratio_one_and_all_others_an_infinite_one() -> None:
    found = performance_ratios([[0, 0], [0, 7], [3, INF]])
    assert found.tolist() == [[1, 1], [1, INF], [INF, INF]]


def test_profile_by_hand() -> None:
    found = profile(RATIOS, [1, 1.05, 1.1, 2, 2.999, 3, 4, 5, 1e9])
    assert found.tolist() == [
        [0.25, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5],
        [0.5, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75],
        [0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.75, 0.75],  # 5 counts from 5 on
    ]


def test_score_by_hand() -> None:
    """Each recipe adds (4 - r) / 3 of its quarter."""
    found = profile_score(RATIOS)
    by_hand = [(3 + 1) / 12, (2 + 3 + 3) / 12, (0 + 2.9 + 3) / 12]
    assert found == pytest.approx(by_hand, rel=1e-14)
    assert profile_score([[1.0, 1.0], [INF, INF], [4.0, 4.5]]).tolist() == [1, 0, 0]
    assert profile_score([[1.5]], tau_max=2.0).tolist() == [0.5]


def test_score_is_the_area_under_the_profile() -> None:
    """The mean height at the middles of a million cells: each step is off by half a cell at most."""
    generator = np.random.default_rng(0)
    times = generator.lognormal(sigma=1.5, size=(5, 7)) * 100
    times[generator.random(times.shape) < 0.25] = INF
    times[:, 3] = INF
    times[1, 5] = times[2, 5]
    cells = 1_000_000
    taus = 1 + (np.arange(cells) + 0.5) * (TAU_MAX - 1) / cells
    for arm, row in enumerate(times):
        heights = np.zeros(cells)
        for recipe, time in enumerate(row):
            fastest = times[:, recipe].min()
            if math.isfinite(time):
                heights += time / fastest <= taus
        area = heights.mean() / times.shape[1]
        assert profile_score(performance_ratios(times))[arm] == pytest.approx(area, abs=7e-6)
        brute = profile(performance_ratios(times), taus[::1000])[arm]
        assert brute == pytest.approx(heights[::1000] / times.shape[1], abs=0)


@pytest.mark.parametrize("times", [[], [[]], [1, 2], [[-1, 2]], [[math.nan, 1]]])
def test_what_are_no_times_is_refused(times) -> None:
    with pytest.raises(ValueError, match=r"times must be numbers >= 0 of shape \[arms, recipes\]"):
        performance_ratios(times)
