"""Which trials failed, on curves made by hand."""

from __future__ import annotations

import math

import pytest

from ravine.comparison.failures import Bar, failed
from ravine.training.records import Point, Run, Trial


def run(arm: str, lr: float, seed: int, *metrics: float, every: int = 10) -> Run:
    """A run evaluated every ten steps; its costs are its metrics."""
    points = (Point(every * i, m, m, m) for i, m in enumerate(metrics))
    return Run(Trial(arm, {"lr": lr}, seed), tuple(points))


def outcomes(runs: list[Run], maximize: bool) -> list[str]:
    """Of metrics as they are, or all of them negated and maximized."""
    if maximize:
        runs = [
            run(r.trial.procedure, r.trial.lr, r.trial.seed, *(-p.validation_metric for p in r.curve))
            for r in runs
        ]  # fmt: skip
    bar = Bar(runs, maximize)
    return [bar.outcome(one) for one in runs]


@pytest.mark.parametrize("maximize", [False, True])
def test_a_tenth_of_the_way_to_the_best_is_the_bar(maximize):
    """From 1 the best one goes 2.5 down: a tenth of that is 0.25."""
    best = run("a", 1, 0, 1.0, 0.0, -1.5)
    there, short, worse = (run("a", 1, 1, 1.0, 0.9, end) for end in (0.75, 0.75 + 1e-9, 40.0))
    assert outcomes([best, there, short, worse], maximize) == ["fine", "fine", "stuck", "stuck"]


@pytest.mark.parametrize("maximize", [False, True])
def test_each_trial_starts_from_its_own_untrained_metric(maximize):
    """From 2 the way is 3.5 long, from 1 it is 2.5."""
    best = run("a", 1, 0, 1.0, 0.0, -1.5)
    assert outcomes([best, run("b", 1, 1, 2.0, 1.9, 1.7)], maximize)[1] == "stuck"
    assert outcomes([best, run("b", 1, 1, 1.0, 0.9, 0.7)], maximize)[1] == "fine"


@pytest.mark.parametrize("maximize", [False, True])
def test_a_trial_that_was_stopped_is_held_against_its_own_step(maximize):
    """After 10 steps the best has gone 0.5: a twentieth of its whole way, but ten times 0.05."""
    best = run("a", 1, 0, 1.0, 0.5, -9.0)
    assert outcomes([best, run("a", 2, 0, 1.0, 0.9375)], maximize)[1] == "fine"
    assert outcomes([best, run("a", 2, 0, 1.0, 0.96875)], maximize)[1] == "stuck"


@pytest.mark.parametrize("maximize", [False, True])
def test_before_anybody_has_learned_nobody_is_stuck_and_at_the_end_all_are(maximize):
    """The best trained model, 0.9, is no better than an untrained one of another seed, 0.875."""
    runs = [run("a", 1, 0, 1.0, 0.9), run("a", 1, 1, 0.875, 1.0), run("a", 2, 0, 1.0, 1.0, 0.9)]
    assert outcomes(runs[:2], maximize) == ["stuck", "stuck"]
    assert outcomes(runs, maximize) == ["fine", "fine", "stuck"]


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_diverged_sets_no_bar_from_there_on(broken):
    lost = Run(
        Trial("a", {"lr": 1}, 0),
        (
            Point(0, 1, 1, 1.0),
            Point(10, 1, 1, -50.0),
            Point(20, broken, 1, -100.0),
            Point(30, 1, 1, -200.0),
        ),
    )
    slow, stopped = run("a", 1, 1, 1.0, 1.0, 0.5), run("a", 1, 2, 1.0, 0.0)
    bar = Bar([lost, slow, stopped], maximize=False)
    assert (bar.best(10), bar.best(20), bar.best(30)) == (-50.0, 0.5, None)
    assert [bar.outcome(one) for one in (lost, slow, stopped)] == ["diverged", "fine", "stuck"]


def test_settings_are_counted_and_one_trial_speaks_for_each():
    good = [1.0, 0.5, 0.0]
    selection = [
        run("a", 0.1, 0, *good), run("a", 0.1, 1, *good),
        run("a", 1.0, 0, 1.0, 1.0), run("a", 1.0, 1, 1.0, math.nan),
        run("b", 0.1, 0, *good), run("b", 0.1, 1, math.nan),
    ]  # fmt: skip
    final = [
        *(run("a", 0.1, seed, *good) for seed in (2, 3, 4)),
        run("b", 0.1, 2, *good), run("b", 0.1, 3, 1.0, 0.5, math.inf), run("b", 0.1, 4, 1.0, math.nan),
    ]  # fmt: skip
    first, second = failed(selection, final, {"a": 0.1, "b": 0.1}, maximize=False)
    assert (first.arm, first.lr, first.stage, first.run.trial.seed) == ("b", 0.1, "final", 4)
    assert (first.trials, first.diverged, first.stuck, first.fresh, first.by) == (5, 3, 0, 2, 20)
    assert (first.chosen_trained, first.trained_at, first.way) == (False, None, ("b", 0, True))
    assert (second.arm, second.lr, second.stage, second.run.trial.seed) == (
        "a",
        1.0,
        "selection",
        1,
    )
    assert (second.trials, second.diverged, second.stuck, second.fresh) == (2, 1, 1, 0)
    assert (second.by, second.best, second.trained_at) == (10, 0.5, 0.1)
    assert second.way == ("a", 1, True)


def test_a_comparison_where_all_went_well_has_none():
    runs = [run("a", 0.1, seed, 1.0, 0.5) for seed in (0, 1, 2)]
    assert failed(runs[:2], runs[2:], {"a": 0.1}, maximize=False) == ()


def test_the_most_telling_settings_come_first():
    """Fresh seeds; then the next to the chosen rate in each way of failing, arm by arm; then the
    second ones."""
    good, stuck, lost = (1.0, 0.5, 0.0), (1.0, 1.0), (1.0, math.nan)
    selection = [
        run("a", 1.0, 0, *good),
        run("a", 0.1, 0, *stuck), run("a", 0.01, 0, *stuck), run("a", 0.001, 0, *stuck),
        run("a", 5.0, 0, *stuck), run("a", 10.0, 0, *lost), run("a", 100.0, 0, *lost),
        run("b", 1.0, 0, *good), run("b", 0.3, 0, *good), run("b", 0.1, 0, *stuck),
        run("b", 10.0, 0, *lost), run("c", 1.0, 0, *good), run("c", 10.0, 0, *lost),
    ]  # fmt: skip
    final = [run("a", 1.0, 9, *good), run("b", 1.0, 9, *good), run("c", 1.0, 9, *stuck, 1.0)]
    found = failed(selection, final, dict.fromkeys("bac", 1.0), maximize=False)
    assert [(f.arm, f.lr) for f in found] == [
        ("c", 1.0),
        ("b", 0.1), ("b", 10.0), ("a", 5.0), ("a", 0.1), ("a", 10.0), ("c", 10.0),
        ("a", 0.01), ("a", 100.0),
        ("a", 0.001),
    ]  # fmt: skip
    assert [f.trained_at for f in found[:3]] == [None, 1.0, 1.0]
