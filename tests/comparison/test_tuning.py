"""Searches of more than the learning rate, the best of k, and what tuning gained."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from ravine import api
from ravine.comparison import space
from ravine.comparison.failures import failed
from ravine.comparison.records import RateScore
from ravine.comparison.space import Configuration
from ravine.comparison.tuning import best_of
from ravine.comparison.verdict import _band, _rates, as_json
from ravine.errors import FolderError
from ravine.training.records import Point, Run, Trial
from tests.comparison.conftest import OPTIMIZERS, small_recipe
from tests.comparison.fake import FakeLane, procedures, run_fake
from tests.problems import digits_problem

STEPS = 54
NAMES = ("sgd", "momentum", "adam")


def off(value: float, best: float) -> float:
    """Decades squared."""
    return math.log10(value / best) ** 2


def error(arm, hyper):
    """Best where momentum is 0.95 at a rate of 0.01, for Adam where eps is 1e-5 and the rate 2e-3.

    Everything diverges at rates from 0.06 on.
    """
    if hyper["lr"] > 0.06:
        return math.nan
    worse = 0.05 * off(hyper["lr"], 2e-3 if arm == "adam" else 0.01)
    if "momentum" in hyper:
        worse += 0.1 * off(1 - hyper["momentum"], 0.05)
    if "eps" in hyper:
        worse += 0.01 * off(hyper["eps"], 1e-5)
    return min(0.88, 0.02 + worse)


@pytest.fixture(scope="module")
def problem():
    return digits_problem(steps=STEPS)


@pytest.fixture(scope="module")
def tuned(problem, tmp_path_factory):
    return run_fake(problem, NAMES, 25, error, tmp_path_factory.mktemp("tuned") / "run")[0]


def of_arm(runs, name):
    return [run for run in runs if run.trial.procedure == name]


def configurations(runs):
    return {Configuration.of(run.trial.hyper) for run in runs}


def test_a_search_begins_with_the_points_of_its_space(tuned):
    for name, arm in procedures(NAMES).items():
        tried = configurations(of_arm(tuned.selection, name))
        begun = {
            Configuration.of({**rate.other, "lr": rate.lr, **fixed(arm, rate)})
            for rate in next(a for a in tuned.verdict.arms if a.name == name).rates
            if not rate.added
        }
        assert begun == set(space.points(arm, 25, 0)) <= tried
        assert Configuration.of(arm.rule.defaults) in begun


def fixed(arm, rate):
    return {n: v for n, v in arm.rule.defaults.items() if n != "lr" and n not in rate.other}


def test_every_optimizer_pays_the_same_whatever_it_has_to_tune(tuned):
    """25 configurations train for T/9, 9 to T/3, 3 to T; what is added trains to T."""
    ends = {}
    for name in NAMES:
        runs = of_arm(tuned.selection, name)
        ends[name] = Counter(run.curve[-1].step for run in runs)
        assert Counter(run.trial.seed for run in runs) == {0: len(runs) // 2, 1: len(runs) // 2}
    assert ends["sgd"] == ends["momentum"] == ends["adam"]
    assert ends["sgd"][6] == 2 * (25 - 9)
    assert ends["sgd"][18] == 2 * (9 - 3)
    assert (ends["sgd"][54] - 2 * 3) % 4 == 0
    assert len({arm.gradient_steps for arm in tuned.verdict.arms}) == 1


def test_the_chosen_configuration_has_the_best_mean_on_validation(tuned):
    for arm in tuned.verdict.arms:
        ends = {}
        for run in of_arm(tuned.selection, arm.name):
            if run.curve[-1].step == STEPS:
                one = Configuration.of(run.trial.hyper)
                ends.setdefault(one, []).append(run.curve[-1].validation_metric)
        assert min(ends, key=lambda one: np.mean(ends[one])).hyper == arm.hyper
        assert configurations(of_arm(tuned.final, arm.name)) == {Configuration.of(arm.hyper)}
        assert [r.status for r in arm.rates].count("chosen") == 1


def test_edges_are_extended_in_the_rate_at_the_best_ones_other_values(problem, tmp_path):
    """The lower the rate the better: every round goes down from the best, nowhere else."""

    def lower(arm, hyper):
        return 0.2 + 0.05 * math.log10(hyper["lr"] * 1e6) + 0.1 * ("momentum" in hyper)

    study, _ = run_fake(problem, ("sgd", "momentum"), 25, lower, tmp_path / "run")
    for arm in study.verdict.arms:
        added = [rate for rate in arm.rates if rate.added]
        assert len(added) == 6
        assert all({**rate.other, "lr": arm.lr} == arm.hyper for rate in added)
        assert max(rate.lr for rate in added) < min(r.lr for r in arm.rates if not r.added)
        assert arm.lr == pytest.approx(min(r.lr for r in arm.rates if not r.added) / 1000, rel=1e-3)
        assert len(arm.best_of) == 25
    assert sum("is the lowest tried" in line for line in study.verdict.warnings) == 2


def test_a_finer_grid_tunes_the_rate_only(problem, tmp_path):
    study, _ = run_fake(problem, NAMES, 24, error, tmp_path / "run")
    assert study.defaults == ()
    assert study.spans == {}
    for arm in study.verdict.arms:
        assert arm.tuning is None
        assert all(rate.other == {} for rate in arm.rates)
        assert len([rate for rate in arm.rates if not rate.added]) == len(arm.best_of) == 24


def test_defaults_train_on_the_fresh_seeds_and_have_no_part_in_the_choice(tuned):
    fresh = set(tuned.verdict.final_seeds)
    assert not fresh & set(tuned.verdict.selection_seeds)
    for name, arm in procedures(NAMES).items():
        runs = of_arm(tuned.defaults, name)
        assert sorted(run.trial.seed for run in runs) == sorted(fresh)
        assert all(run.trial.hyper == arm.rule.defaults for run in runs)
        assert all(run.test_metric is None for run in runs)


def test_the_gain_is_the_mean_paired_difference_on_fresh_seeds(tuned):
    for arm in tuned.verdict.arms:
        ends = [
            {run.trial.seed: run.curve[-1].validation_metric for run in of_arm(runs, arm.name)}
            for runs in (tuned.defaults, tuned.final)
        ]
        gains = np.array([ends[0][seed] - ends[1][seed] for seed in ends[0]])
        assert arm.tuning.gain.mean == pytest.approx(gains.mean(), abs=1e-12)
        assert (
            gains.min() - 1e-12 <= arm.tuning.gain.lo <= arm.tuning.gain.hi <= gains.max() + 1e-12
        )
        assert arm.tuning.validation.mean == pytest.approx(np.mean(list(ends[0].values())))
        assert arm.tuning.gradient_steps == len(gains) * STEPS
        assert arm.tuning.gain.mean > 0.01


def test_a_default_that_was_chosen_gained_nothing_and_is_not_trained_again(problem, tmp_path):
    def default_is_best(arm, hyper):
        return 0.02 + 0.05 * off(hyper["lr"], 1e-3) + 0.1 * off(1 - hyper.get("momentum", 0.9), 0.1)

    study, _ = run_fake(problem, ("sgd", "momentum"), 25, default_is_best, tmp_path / "run")
    for arm in study.verdict.arms:
        assert arm.hyper == arm.tuning.default
        assert (arm.tuning.gain.mean, arm.tuning.gain.lo, arm.tuning.gain.hi) == (0, 0, 0)
        assert arm.tuning.gradient_steps == 0
        assert arm.tuning.validation == arm.validation
    assert study.defaults == ()


def test_a_default_that_diverges_counts_as_the_worst_value_there_is(problem, tmp_path):
    """The untrained model's 0.9: no other run of either setting is worse."""

    def breaks(arm, hyper):
        return math.nan if hyper["lr"] == 1e-3 else error(arm, hyper)

    study, _ = run_fake(problem, ("sgd", "momentum"), 25, breaks, tmp_path / "run")
    seeds = study.verdict.final_seeds
    for arm in study.verdict.arms:
        assert arm.tuning.diverged == len(seeds)
        worst = max(run.curve[0].validation_metric for run in (*study.final, *study.defaults))
        assert arm.tuning.gain.mean == pytest.approx(worst - arm.validation.mean)
        assert arm.final_diverged == 0
        assert as_json(study.verdict)["arms"][0]["tuning"]["gain"]["ci"][0] > 0.5


def test_a_larger_is_better_metric_gives_the_mirrored_gains(tuned, tmp_path):
    flipped = digits_problem(steps=STEPS, maximize=True)
    study, _ = run_fake(flipped, NAMES, 25, error, tmp_path / "run")
    for arm, same in zip(study.verdict.arms, tuned.verdict.arms, strict=True):
        assert (arm.name, arm.hyper) == (same.name, same.hyper)
        assert arm.best_of == pytest.approx([1 - value for value in same.best_of])
        assert arm.tuning.gain.mean == pytest.approx(same.tuning.gain.mean)
        assert arm.tuning.validation.mean == pytest.approx(1 - same.tuning.validation.mean)


def subsets(values, k):
    return [min(subset) for subset in combinations(values, k)]


def test_best_of_k_is_the_mean_over_all_draws_of_what_the_search_began_with(problem, tuned):
    """By enumeration, from the curves; NaN counts as untrained, what was added not at all."""
    for arm in tuned.verdict.arms:
        values = {}
        for run in of_arm(tuned.selection, arm.name):
            values.setdefault(Configuration.of(run.trial.hyper), []).append(run)
        begun = space.points(procedures(NAMES)[arm.name], 25, 0)
        ends = []
        for one in begun:
            runs = values[one]
            last = np.mean([run.curve[-1].validation_metric for run in runs])
            ends.append(tuned.baseline if any(r.diverged_at is not None for r in runs) else last)
        for k in (1, 2, 3, 24, 25):
            assert arm.best_of[k - 1] == pytest.approx(np.mean(subsets(ends, k)), abs=1e-12)


def test_a_diverged_configuration_is_no_better_than_the_worst_healthy_one():
    rates = [
        RateScore(0.1, 0.5, 0.5, 9, "chosen"),
        RateScore(0.2, None, 0.4, 9, "diverged"),
        RateScore(0.3, 0.95, 0.9, 9, "survived"),
        RateScore(0.4, 0.1, 0.9, 9, "survived", added=True),
    ]
    assert best_of(rates, False, 0.9) == pytest.approx([(0.5 + 0.95 + 0.95) / 3, 0.65, 0.5])
    assert best_of(rates, True, 0.6) == pytest.approx([(0.5 + 0.5 + 0.95) / 3, 0.8, 0.95])


class Stopping(FakeLane):
    """Stops in its n-th chunk."""

    left = 0

    def train(self, members, until, tick, pause=math.inf):
        if Stopping.left == 0:
            raise KeyboardInterrupt
        Stopping.left -= 1
        return super().train(members, until, tick, pause)


def test_a_killed_search_goes_on_to_the_same_verdict(problem, tuned, tmp_path):
    """Stopped after every third chunk, so in every stage, the defaults' included."""
    stops, study = 0, None
    while study is None:
        Stopping.left = 3
        try:
            study, _ = run_fake(problem, NAMES, 25, error, tmp_path / "run", Stopping)
        except KeyboardInterrupt:
            stops += 1
    assert stops > 8
    assert as_json(study.verdict) == as_json(tuned.verdict)
    assert study.defaults == tuned.defaults
    _, lane = run_fake(problem, NAMES, 25, error, tmp_path / "run")
    assert lane.trained == 0


def scattered(*rows):
    """Runs of (rate, momentum, metric after each step) on one seed."""
    return [
        Run(
            Trial("a", {"lr": lr, "momentum": m}, 0),
            tuple(Point(i, 1, 1, v) for i, v in enumerate(c)),
        )
        for lr, m, *c in rows
    ]


def test_the_band_takes_the_best_of_every_half_decade(tuned):
    """A bad momentum at 0.9 times the best rate, or beside a good one, does not end the band."""
    runs = scattered(
        (1.0, 0.9, 0.9, 0.10), (0.9, 0.1, 0.9, 0.8), (0.3, 0.9, 0.9, 0.8), (0.31, 0.5, 0.9, 0.11),
        (0.1, 0.5, 0.9, 0.6), (0.03, 0.5, 0.9, 0.1), (3.0, 0.5, 0.9, math.nan),
    )  # fmt: skip
    chosen = Configuration.of({"lr": 1.0, "momentum": 0.9})
    rates = _rates(runs, chosen, tuned.settings, sign=1)
    assert _band(runs, rates, 1.0, sign=1, baseline=0.9) == (0.31, 1.0)


def test_a_failure_is_blamed_on_the_rate_only_where_nothing_else_differs():
    runs = scattered(
        (1.0, 0.9, 0.9, 0.1), (2.0, 0.9, 0.9, math.nan), (2.0, 0.5, 0.9, math.nan),
    )  # fmt: skip
    found = failed(runs, runs[:1], {"a": 1.0}, maximize=False)
    assert {(f.run.trial.hyper["momentum"], f.alike, f.trained_at) for f in found} == {
        (0.9, True, 1.0),
        (0.5, False, None),
    }


def test_from_a_command_to_the_files(tmp_path):
    """A real search: 25 configurations in the files, another number of trials refused, all kept."""
    out = tmp_path / "run"

    def run(trials):
        return api.compare(
            small_recipe(), OPTIMIZERS, out, steps=2, lane="serial", command="test", trials=trials
        )

    verdict = run(25)
    stored = json.loads((out / "verdict.json").read_text())
    assert stored == json.loads(json.dumps(as_json(verdict)))
    for arm in stored["arms"]:
        assert len(arm["best_of_k"]) == 25
        assert arm["tuning"]["default"]["lr"] == 1e-3
        names = {"beta1", "beta2", "eps"} if arm["name"] == "adam" else set()
        assert all(set(row["other"]) == names for row in arm["lrs"])
        assert set(arm["other"]) == names
    page = (out / "report.html").read_text()
    for name in ("isolation", "budget", "gains"):
        assert f'<section id="{name}"' in page
        assert f'href="#{name}"' in page
    assert run(25) == verdict
    with pytest.raises(FolderError, match="with trials 25, this command asks for 26"):
        run(26)
