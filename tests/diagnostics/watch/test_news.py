"""What is told while a run is under way."""

from __future__ import annotations

import pytest

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Name
from ravine.diagnostics.watch import news
from ravine.diagnostics.watch.news import News
from ravine.training.records import Point


def finding(kind: str) -> Finding:
    return Finding(kind, 0.5, "", "", 0)


@pytest.fixture
def heard(monkeypatch):
    """(steps planned, [(step, training cost, kinds that stand)]) -> [(step, kind told)]."""

    def run(planned, evaluations):
        told, now, history = [], [0], History()
        facts = Facts(steps=planned)
        tell = News(facts, lambda f: told.append((now[0], f.kind)))
        for step, cost, kinds in evaluations:
            now[0] = step
            history.add(step, {Name("training_cost"): cost})
            found = [finding(kind) for kind in kinds.split()]
            monkeypatch.setattr(news, "diagnose", lambda *_, found=found: found)
            tell(Point(step, cost, cost, cost), history)
        return told

    return run


def test_told_once_from_two_thirds_of_the_way_on_when_it_stands_twice(heard):
    every = [(step, 1.0, "lr_too_low") for step in range(0, 101, 10)]
    assert heard(100, every) == [(70, "lr_too_low")]
    assert heard(None, every) == []
    flickering = [(s, 1.0, "lr_too_low" if s % 20 else "") for s in range(0, 101, 10)]
    assert heard(100, flickering) == []
    begun_late = [(s, 1.0, "lr_too_low" if s >= 70 else "") for s in range(0, 101, 10)]
    assert heard(100, begun_late) == [(80, "lr_too_low")]


def test_what_is_certain_is_told_at_once(heard):
    assert heard(100, [(0, 1.0, ""), (10, 1.0, "not_finite"), (20, 1.0, "not_finite")]) == [
        (10, "not_finite")
    ]


@pytest.mark.parametrize("cost", [1.01, float("nan"), float("inf")])
def test_of_a_run_that_costs_more_than_at_its_start_all_is_told(heard, cost):
    run = [(0, 1.0, ""), (10, cost, "lr_too_high"), (20, cost, "lr_too_high")]
    assert heard(100, run) == [(20, "lr_too_high")]
    assert heard(100, [(s, min(c, 1.0), k) for s, c, k in run if c < 2]) == []


def test_only_the_two_worst_are_told(heard):
    run = [(s, 1.0, "plateau lr_too_low underfitting") for s in (60, 80, 100)]
    assert heard(100, run) == [(80, "plateau"), (80, "lr_too_low")]
