"""A recipe's target from reference runs, and times to it, by hand."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from ravine.comparison.several.workloads import Target, target_of, workload
from ravine.comparison.statistics import steps_to_target
from ravine.comparison.store import Store
from tests.report.builders import ADAM, NAN, RMS, SGD, run, study, verdict

ARMS = [replace(arm, hyper={"lr": 0.001}) for arm in (ADAM, RMS, SGD)]
LENGTH = 900  # of the builders' studies; three quarters are 675

FILLED = (0.9, *[0.5] * 66)  # evaluations at 0, 10, ... 660


def reference(name: str, seed: int, level: float, after: float, lr: float = 0.001):
    """A selection run that stands at `level` at step 670, and at `after` from 680 on."""
    return run(name, seed, *FILLED, level, *[after] * 23, lr=lr)


def of(selection, final=(), maximize=False):
    return study(verdict(*ARMS, best=("adam",), maximize=maximize), selection, final)


LEVELS = [
    *(reference("adam", seed, level, 0.01) for seed, level in ((1, 0.1), (2, 0.2))),
    *(reference("rmsprop", seed, level, 0.02) for seed, level in ((1, 0.3), (2, 0.5))),
    *(reference("sgd", seed, level, 0.03) for seed, level in ((1, 0.6), (2, 0.8))),
]


def test_the_target_is_the_median_of_the_levels_after_three_quarters() -> None:
    """Levels 0.15, 0.4 and 0.7: neither the ends of the runs nor their best moments count."""
    assert target_of(of(LEVELS), None) == Target(pytest.approx(0.4, rel=1e-15), named=False)


def test_two_levels_meet_in_the_middle() -> None:
    two = replace(of(LEVELS), verdict=replace(of(LEVELS).verdict, arms=tuple(ARMS[:2])))
    assert target_of(two, None) == Target(pytest.approx((0.15 + 0.4) / 2, rel=1e-15), named=False)


def test_other_rates_and_the_fresh_seeds_have_no_say() -> None:
    others = [reference("rmsprop", seed, 1e-6, 1e-6, lr=0.1) for seed in (1, 2)]
    timed = [run("rmsprop", seed, 0.9, 1e-6) for seed in (10, 11)]
    assert target_of(of([*LEVELS, *others], timed), None) == target_of(of(LEVELS), None)


def test_an_arm_that_diverged_is_left_out_of_the_median() -> None:
    broken = [run("sgd", 1, 0.9, NAN), reference("sgd", 2, 0.6, 0.03)]
    levels = [*LEVELS[:4], *broken]
    assert target_of(of(levels), None) == Target(pytest.approx(0.275, rel=1e-15), named=False)
    nothing = [run(arm.name, seed, 0.9, NAN) for arm in ARMS for seed in (1, 2)]
    assert target_of(of(nothing), None) is None


def test_a_larger_metric_is_better_the_other_way_round() -> None:
    larger = target_of(of(LEVELS, maximize=True), None)
    assert larger == Target(pytest.approx(0.4, rel=1e-15), named=False)


def test_the_recipes_own_target_comes_first() -> None:
    assert target_of(of(LEVELS), 0.123) == Target(0.123, named=True)


def test_a_stored_comparison_becomes_a_recipe_among_several(finished, study) -> None:
    """Everything again from the stored curves."""
    with closing(Store(finished)) as store:
        found, facts = workload(store), store.fact("problem")
    names = list(study.settings.arms)
    chosen = {arm.name: arm.lr for arm in study.verdict.arms}

    def at(curve, step):
        return [p.validation_metric for p in curve if p.step <= step][-1]

    levels = [
        np.mean(
            [
                at(r.curve, 0.75 * study.settings.steps)
                for r in study.selection
                if (r.trial.procedure, r.trial.lr) == (name, chosen[name])
            ]
        )
        for name in names
    ]
    assert found.folder == "run"
    assert found.target == Target(pytest.approx(np.median(levels), rel=1e-12), named=False)
    for name in names:
        runs = [r for r in study.final if r.trial.procedure == name]
        assert list(found.scores[name]) == [r.curve[-1].validation_metric for r in runs]
        steps = np.median(
            steps_to_target(
                [[p.step for p in r.curve] for r in runs],
                [[p.validation_metric for p in r.curve] for r in runs],
                found.target.value,
            )
        )
        assert found.steps[name] == steps
        assert found.seconds[name] == steps * facts["step_seconds"][name]
    assert found.table(names[::-1]).tolist() == [list(found.scores[name]) for name in names[::-1]]
