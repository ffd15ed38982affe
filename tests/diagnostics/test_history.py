"""Rings that keep the beginning, the recent past, and less of what is between."""

from __future__ import annotations

from ravine.diagnostics.history import CAPACITY, History, Series
from ravine.diagnostics.instrument import Name


def test_a_series_never_outgrows_its_capacity():
    series = Series()
    for step in range(100_000):
        series.add(step, float(step))
    assert len(series) <= CAPACITY
    assert series.steps == [int(value) for value in series.values]
    assert series.steps == sorted(set(series.steps))


def test_the_recent_past_is_whole_and_the_beginning_is_kept():
    series = Series()
    for step in range(100_000):
        series.add(step, 0.0)
        recent = CAPACITY // 2
        if step > CAPACITY:
            assert series.steps[-recent:] == list(range(step - recent + 1, step + 1))
        assert series.steps[0] == 0


def test_since_cuts_from_a_step_on():
    series = Series([0, 2, 5], [1.0, 2.0, 3.0])
    assert list(series.since(2)) == [(2, 2.0), (5, 3.0)]
    assert list(series.since(6)) == []


def test_series_are_known_by_quantity_and_place():
    history = History()
    history.add(0, {Name("loss"): 2.0, Name("std", "a"): 1.0, Name("std", "b"): 3.0})
    history.add(1, {Name("std", "b"): 4.0})
    assert history.places("std") == ["a", "b"]
    assert list(history.series("std", "b")) == [(0, 3.0), (1, 4.0)]
    assert len(history.series("nothing")) == 0
