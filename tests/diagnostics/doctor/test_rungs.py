"""How gradient steps are spent, and what is recommended: decisions on numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ravine.diagnostics.doctor.patient import Change
from ravine.diagnostics.doctor.rungs import (
    affordable,
    cost,
    kept_steps,
    ranked,
    ranks,
    stops,
    survivors,
)
from ravine.training.pace import evaluation_steps
from ravine.training.records import Point

NOTHING = (math.nan, math.inf)


@pytest.mark.parametrize("total", [1, 5, 27, 81, 200, 10_000])
def test_a_run_is_kept_at_few_of_its_evaluations(total):
    kept = kept_steps(total)
    assert set(kept) <= set(evaluation_steps(total))
    assert 0 not in kept
    assert len(kept) <= 6


def test_it_is_kept_more_densely_at_the_start():
    assert kept_steps(2700) == [100, 200, 300, 500, 800, 1300]


def test_changes_are_compared_between_the_trouble_and_the_end():
    assert stops(2700, 0) == [300, 900, 2400]
    assert stops(2700, 900) == [1100, 1500, 2500]
    assert stops(2700, 2600) == [2700]


def test_half_go_on_and_two_at_least():
    assert [survivors(n) for n in (1, 2, 3, 5, 6, 9)] == [1, 2, 2, 3, 3, 5]


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ([0] * 6, 6 * 300 + 3 * 600 + 2 * 1500),
        ([0] * 2, 2 * 2400),
        ([0], 2400),
        ([], 0),
        ([200] * 6, 6 * 100 + 3 * 600 + 2 * 1500),
        ([0, 0, 500], 2 * 300 + 2 * 600 + 2 * 1500),  # the later one would cost less
    ],
)
def test_the_cost_is_what_halving_takes_at_most(starts, expected):
    assert cost(starts, [300, 900, 2400]) == expected


def test_as_many_are_tried_as_the_budget_pays():
    at = [300, 900, 2400]
    assert affordable([0] * 9, at, 6600) == 6
    assert affordable([0] * 9, at, 6599) == 5
    assert affordable([0] * 2, at, 1e9) == 2
    assert affordable([0], at, 2399) == 0


def test_ranks_put_what_has_no_number_last():
    assert ranks([0.3, math.nan, 0.1, math.inf, 0.3], 1) == [1, 3, 0, 4, 2]
    assert ranks([0.3, math.nan, 0.1], -1) == [0, 2, 1]


def finalist(size: int, *metrics: float) -> tuple[Change, list[Point]]:
    name = f"{size}:{metrics[-1]:g}"
    curve = [Point(step, 0.0, 0.0, metric) for step, metric in enumerate(metrics)]
    return Change(name, "", size, lambda p: p), curve


def larger(metric: float) -> tuple[Change, list[Point]]:
    """A larger model."""
    change, curve = finalist(5, metric)
    return replace(change, grows=True), curve


@pytest.mark.parametrize(
    ("finalists", "untouched", "sign", "order"),
    [
        ([finalist(5, 0.1), finalist(1, 0.1)], 0.5, 1, ["1:0.1", "5:0.1"]),
        ([finalist(5, 0.1), finalist(1, 0.101)], 0.5, 1, ["5:0.1", "1:0.101"]),
        ([finalist(5, 0.2, 0.1, 0.1), finalist(1, 0.2)], 0.5, 1, ["1:0.2", "5:0.1"]),
        ([finalist(5, 0.2, 0.1, 0.1, 0.1), finalist(1, 0.2)], 0.5, 1, ["5:0.1", "1:0.2"]),
        ([finalist(1, 0.5), finalist(1, 0.6)], 0.5, 1, []),
        (
            [finalist(5, 0.8, 0.9), finalist(1, 0.85), finalist(1, 0.4)],
            *(0.5, -1, ["1:0.85", "5:0.9"]),
        ),
        ([finalist(1, math.nan), finalist(2, 0.4)], 0.5, 1, ["2:0.4"]),
        ([finalist(1, math.inf, 0.1), finalist(2, 0.4)], 0.5, 1, ["2:0.4"]),
        ([larger(0.1), finalist(5, 0.13)], 0.5, 1, ["5:0.13", "5:0.1"]),  # 0.37 of 0.40
        ([larger(0.1), finalist(5, 0.15)], 0.5, 1, ["5:0.1", "5:0.15"]),
        ([larger(0.1)], 0.5, 1, ["5:0.1"]),
        ([], 0.5, 1, []),
    ],
)
def test_the_smallest_of_those_that_do_as_well_comes_first(finalists, untouched, sign, order):
    assert [change.name for change in ranked(finalists, untouched, sign)] == order
