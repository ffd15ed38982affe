"""Curves as numbers are the points that they were made of."""

from __future__ import annotations

import math

import pytest

from ravine.training.records import Curve, Point, Run, Trial

POINTS = [
    Point(0, 2.3, 2.4, 0.9),
    Point(3, 0.1, 0.2, 0.3),
    Point(7, math.nan, 0.2, 0.3),
    Point(9, 0.1, math.inf, 0.3),
]


def test_a_curve_is_the_sequence_of_its_points():
    curve = Curve.of(POINTS[:2])
    assert list(curve) == POINTS[:2] == list(Curve.unpack(curve.pack()))
    assert (curve[0], curve[-1], len(curve)) == (POINTS[0], POINTS[1], 2)
    assert isinstance(curve[1].step, int)
    assert list(curve[1:]) == POINTS[1:2]
    assert curve == tuple(POINTS[:2])
    assert curve != POINTS[:1]
    assert not Curve.of([])


@pytest.mark.parametrize(("step", "count"), [(-1, 0), (0, 1), (2, 1), (3, 2), (8.5, 3), (99, 4)])
def test_until_a_step(step, count):
    assert len(Curve.of(POINTS).until(step)) == count


@pytest.mark.parametrize("count", range(5))
def test_a_run_has_diverged_at_its_first_point_that_is_not_finite(count):
    run = Run(Trial("sgd", {"lr": 0.1}, 0), tuple(POINTS[:count]))
    assert run.diverged_at == (7 if count > 2 else None)
    assert run.curve.healthy == min(count, 2)
