"""The protocol, on a real small comparison."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from ravine import api, metrics, rules, schedules
from ravine.comparison import search, space, statistics
from ravine.comparison.protocol import final_scores, rung_steps, score, seeds_of
from ravine.comparison.records import Settings
from ravine.comparison.store import Store
from ravine.comparison.verdict import _band, _rates, as_json, conclude
from ravine.errors import FolderError, SettingError
from ravine.training.population import PopulationLane
from ravine.training.records import Point, Run, Trial
from tests.comparison.conftest import OPTIMIZERS, run_small, small_recipe
from tests.problems import digits_recipe


def without_clock(verdict) -> dict:
    """What has to be the same in two runs of one comparison: all but seconds and environment, and
    what instruments saw of failed trials, which measure when there is time."""
    shown = as_json(verdict)
    del shown["environment"]
    for setting in shown["failures"]["settings"]:
        del setting["cause"], setting["explanation"]
    for arm in shown["arms"]:
        del arm["seconds_to_target"]
    return shown


def test_every_optimizer_gets_the_same_number_of_gradient_steps(study):
    granted = {arm.gradient_steps for arm in study.verdict.arms}
    assert len(granted) == 1
    counts = Counter(run.trial.procedure for run in study.selection)
    assert len(set(counts.values())) == 1


def test_fresh_seeds_took_no_part_in_choosing(study):
    chose = {run.trial.seed for run in study.selection}
    judged = {run.trial.seed for run in study.final}
    assert chose == {0, 1}
    assert judged == set(study.verdict.final_seeds)
    assert not chose & judged


def test_base_seeds_never_share_a_seed():
    used = [seed for base in range(5) for part in seeds_of(base) for seed in part]
    assert len(used) == len(set(used))


def test_runs_are_paired(study):
    """One seed, one start and one first minibatch, whatever the optimizer."""
    starts = {}
    for run in study.final:
        first = run.curve[0]
        assert starts.setdefault(run.trial.seed, first) == first
    assert len(set(starts.values())) == len(starts)


def test_rungs(study):
    """Two thirds of the grid stop at T/9; extensions train for all of T."""
    for name in OPTIMIZERS:
        ends = Counter(r.curve[-1].step for r in study.selection if r.trial.procedure == name)
        assert ends[6] == 2 * 6
        assert set(ends) == {6, 54}
    assert [rung_steps(54, rung) for rung in search.RUNGS] == [6, 18, 54]


def test_the_chosen_rate_has_the_best_mean_on_validation(study):
    for arm in study.verdict.arms:
        at_end = {}
        for run in study.selection:
            if run.trial.procedure == arm.name and run.curve[-1].step == 54:
                at_end.setdefault(run.trial.lr, []).append(run.curve[-1])
        means = {
            lr: (
                sum(p.validation_metric for p in points) / 2,
                sum(p.validation_cost for p in points) / 2,
            )
            for lr, points in at_end.items()
        }
        assert arm.lr == min(means, key=lambda lr: (means[lr], lr))


def test_the_numbers_of_an_arm_come_from_its_final_runs(study):
    sure = 0.98
    for arm in study.verdict.arms:
        runs = [r for r in study.final if r.trial.procedure == arm.name]
        ends = [r.curve[-1].validation_metric for r in runs]
        assert arm.validation.mean == pytest.approx(sum(ends) / len(ends), rel=1e-12)
        tests = [r.test_metric for r in runs]
        assert arm.test.mean == pytest.approx(sum(tests) / len(tests), rel=1e-12)
        first = sorted(
            next((p.step for p in r.curve if p.validation_metric <= study.verdict.target), math.inf)
            for r in runs
        )
        middle = len(first) // 2
        median = first[middle] if len(first) % 2 else (first[middle - 1] + first[middle]) / 2
        assert arm.steps_to_target == median
    assert sum(arm.p_best for arm in study.verdict.arms) == pytest.approx(1)
    assert (study.verdict.decision == "winner") == any(a.p_best >= sure for a in study.verdict.arms)


def test_the_selection_never_sees_the_test_data(study):
    assert all(run.test_metric is None for run in study.selection)
    assert all(run.test_metric is not None for run in study.final)


def test_edges_are_extended_and_everyone_pays(study):
    """SGD's best rate for so short a training lies beyond its grid: all get more rates."""
    grid = space.grid(0.001)
    for name in OPTIMIZERS:
        rates = {run.trial.lr for run in study.selection if run.trial.procedure == name}
        assert set(grid) < rates
        assert (len(rates) - len(grid)) % 2 == 0
    assert max(r.trial.lr for r in study.selection if r.trial.procedure == "sgd") > max(grid)


def test_the_files(finished, study):
    stored = json.loads((finished / "verdict.json").read_text())
    assert stored == json.loads(json.dumps(as_json(study.verdict)))
    assert {"recipe", "decision", "best", "arms", "seeds", "target", "warnings", "environment"} <= (
        set(stored)
    )
    assert (finished / "report.html").stat().st_size > 1_000_000  # plotly lies inside


def test_a_killed_comparison_goes_on_to_the_same_verdict(tmp_path, monkeypatch):
    """Stopped inside and right after one transaction after the other, and started again each time.

    The test metric is NaN for some runs, which is stored like one that was never taken.
    """
    monkeypatch.setattr("ravine.training.choose.PopulationLane", Uncompiled)
    undisturbed = run_partly_untestable(tmp_path / "undisturbed", "population")
    save, transaction = Store.save, Store._transaction
    saved: list[tuple] = []

    def listening(store, stage, members):
        save(store, stage, members)
        saved.extend((stage, m.run.trial.procedure, m.run.trial.lr, m.run.trial.seed, m.step)
                     for m in members)  # fmt: skip

    def stop_at(count, after):
        calls = iter(range(10**6))

        @contextmanager
        def stopping(store):
            stop = next(calls) == count
            with transaction(store):
                yield
                if stop and not after:
                    raise KeyboardInterrupt
            if stop:
                raise KeyboardInterrupt

        return stopping

    monkeypatch.setattr(Store, "save", listening)
    for stops in range(10**6):
        monkeypatch.setattr(Store, "_transaction", stop_at(stops % 11, after=bool(stops % 2)))
        try:
            verdict = run_partly_untestable(tmp_path / "interrupted", "population")
            break
        except KeyboardInterrupt:
            continue
    assert stops >= 6
    assert without_clock(verdict) == without_clock(undisturbed)
    assert all(arm.test is None for arm in verdict.arms)
    assert len(saved) == len(set(saved))  # nothing that was saved was trained again


def run_partly_untestable(out, lane):
    """The metric of the test data is NaN unless the model has learned something."""
    recipe = small_recipe()

    def metric(output, target):
        wrong = metrics.error_rate(output, target)
        tested = len(target) == len(recipe.test[1])
        return torch.where(wrong * tested > 0.05, torch.nan, wrong)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ravine.recipes.check", lambda problem: None)
        changed = replace(recipe, metric=metric, steps=27)
        return api.compare(changed, OPTIMIZERS, out, lane=lane, command="test")


class Uncompiled(PopulationLane):
    """The lane without the seconds that compiling takes."""

    def __init__(self, problem, procedures, capacity, compiled=True):
        super().__init__(problem, procedures, capacity, compiled=False)


def test_another_rule_of_the_same_name_is_refused(tmp_path):
    out = tmp_path / "run"
    recipe = replace(small_recipe(), steps=1)
    api.compare(recipe, ["sgd", rules.adam(beta1=0.5)], out, lane="serial", command="test")
    with pytest.raises(FolderError, match="with another 'adam'"):
        api.compare(recipe, ["sgd", rules.adam(beta1=0.99)], out, lane="serial", command="test")


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_shortest_trainings_keep_the_budget_equal(tmp_path, steps):
    recipe = replace(small_recipe(), steps=steps)
    verdict = api.compare(recipe, OPTIMIZERS, tmp_path / "run", lane="serial", command="test")
    assert len({arm.gradient_steps for arm in verdict.arms}) == 1
    assert all(rate.steps <= steps for arm in verdict.arms for rate in arm.rates)


def exploding(output, target):
    """A cost that is fine before training and NaN in every gradient."""
    cost = small_recipe().cost(output, target)
    return cost + 0 * torch.sqrt((output - output).sum())


def test_when_everything_diverges_the_verdict_says_so(tmp_path):
    recipe = replace(small_recipe(), cost=exploding, steps=9)
    verdict = api.compare(recipe, OPTIMIZERS, tmp_path / "run", lane="serial", command="test")
    assert verdict.decision == "tie"
    for arm in verdict.arms:
        assert arm.final_diverged == len(verdict.final_seeds)
        assert arm.test is None
        assert {rate.status for rate in arm.rates} == {"diverged"}
        assert math.isinf(arm.steps_to_target) or arm.steps_to_target == 0
    assert sum("diverged on 20 of its fresh seeds" in line for line in verdict.warnings) == 2
    stored = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert all(rate["validation"] is None for arm in stored["arms"] for rate in arm["lrs"])


def test_the_folder_shrinks_when_snapshots_are_forgotten(finished):
    """Without weights, a run is its curve: 28 points of 40 bytes or so."""
    assert (finished / "run.sqlite").stat().st_size < 400_000


def test_lanes_agree(tmp_path, study, monkeypatch):
    monkeypatch.setattr("ravine.training.choose.PopulationLane", Uncompiled)
    verdict = run_small(tmp_path / "run", "population")
    assert verdict.best == study.verdict.best
    for arm, same in zip(verdict.arms, study.verdict.arms, strict=True):
        assert arm.name == same.name
        assert arm.lr == same.lr
        assert arm.validation.mean == pytest.approx(same.validation.mean, abs=0.005)


def test_the_same_command_again_trains_nothing(tmp_path, finished, monkeypatch):
    shutil.copytree(finished, tmp_path / "run")
    before = json.loads((tmp_path / "run" / "verdict.json").read_text())
    monkeypatch.setattr(Store, "save", lambda *_: pytest.fail("something was trained"))
    run_small(tmp_path / "run", "serial")
    assert json.loads((tmp_path / "run" / "verdict.json").read_text()) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed 0, this command asks for 1"),
        ({"steps": 27}, "steps 54, this command asks for 27"),
    ],
)
def test_another_setting_on_a_folder_is_refused(finished, change, message):
    with pytest.raises(FolderError, match=message):
        run_small(finished, "serial", **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 16}, "batch size 32, this command asks for 16"),
        ({"name": "other"}, "name digits-test, this command asks for other"),
        ({"cost": lambda o, t: 2 * small_recipe().cost(o, t)}, "its cost differ"),
        ({"model": lambda: __import__("torch").nn.Linear(64, 10)}, "its model differ"),
        ({"validation": small_recipe().test}, "its data differ"),
    ],
)
def test_another_recipe_on_a_folder_is_refused(finished, change, message):
    with pytest.raises(FolderError, match=message):
        api.compare(replace(small_recipe(), **change), OPTIMIZERS, finished, lane="serial")


def test_other_optimizers_on_a_folder_are_refused(finished):
    with pytest.raises(FolderError, match="of sgd,adam, this command asks for sgd,nadam"):
        api.compare(small_recipe(), ["sgd", "nadam"], finished, lane="serial")


def test_another_lane_on_an_unfinished_folder_is_refused(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_small(tmp_path / "run", "serial")
    with pytest.raises(SettingError, match="begun in lane serial"):
        run_small(tmp_path / "run", "population")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizers": ["adam"]}, "at least two"),
        ({"optimizers": ["adam", "adam"]}, "'adam' is given twice"),
        ({"optimizers": ["adam", "adma"]}, "did you mean"),
        ({"seed": -1}, "--seed -1"),
        ({"steps": 0}, "--steps 0"),
        ({"epochs": 0}, "--epochs 0"),
        ({"epochs": 1, "steps": 1}, "one of them"),
    ],
)
def test_bad_settings(tmp_path, arguments, message):
    with pytest.raises(Exception, match=message):
        api.compare(
            small_recipe(), **{"optimizers": OPTIMIZERS, "out": tmp_path / "r", **arguments}
        )
    assert not (tmp_path / "r").exists()


def run(name, seed, *metrics):
    curve = tuple(Point(step, 1.0, 2.0, metric) for step, metric in enumerate(metrics))
    return Run(Trial(name, {"lr": 1.0}, seed), curve)


def test_score_is_the_mean_and_divergence_is_the_worst():
    assert score([run("a", 0, 0.9, 0.2), run("a", 1, 0.9, 0.4)], maximize=False) == (
        pytest.approx(0.3),
        2.0,
    )
    assert score([run("a", 0, 0.9, 0.2)], maximize=True)[0] == -0.2
    assert score([run("a", 0, 0.9, 0.2)], maximize=False, until=0)[0] == 0.9
    broken = [run("a", 0, 0.9, 0.2), run("a", 1, 0.9, math.nan)]
    assert score(broken, maximize=False) == search.WORST
    assert score(broken, maximize=False, until=0)[0] == 0.9


def test_a_diverged_final_run_counts_as_the_worst_value():
    runs = [run("a", 0, 0.9, 0.2), run("a", 1, 0.8, math.inf), run("b", 0, 0.9, 1.5),
            run("b", 1, 0.8, 0.1)]  # fmt: skip
    assert final_scores(runs, ["a", "b"], maximize=False) == [[0.2, 1.5], [1.5, 0.1]]
    healthy = [run("a", 0, 0.9, 0.2), run("a", 1, 0.8, math.nan), run("b", 0, 0.9, 0.3),
               run("b", 1, 0.8, 0.1)]  # fmt: skip
    assert final_scores(healthy, ["a", "b"], maximize=False)[0] == [0.2, 0.9]


def test_identical_optimizers_tie(tmp_path):
    """Two names for one rule see the same seeds: nothing can tell them apart."""
    twin = replace(rules.sgd(), name="twin", title="Twin")
    verdict = api.compare(
        digits_twin(), ["sgd", twin], tmp_path / "run", lane="serial", command="test"
    )
    assert verdict.decision == "tie"
    assert set(verdict.best) == {"sgd", "twin"}
    assert [arm.p_best for arm in verdict.arms] == [0.5, 0.5]
    assert len(verdict.final_seeds) == statistics.LOOKS[-1]


def test_a_larger_is_better_metric_gives_the_mirrored_verdict(tmp_path, study):
    """Accuracy is 1 - error rate: the same choices, every number mirrored."""
    recipe = replace(small_recipe(), metric=metrics.accuracy, maximize=True)
    verdict = api.compare(recipe, OPTIMIZERS, tmp_path / "run", lane="serial", command="test")
    assert verdict.best == study.verdict.best
    assert verdict.target == pytest.approx(1 - study.verdict.target)
    for arm, same in zip(verdict.arms, study.verdict.arms, strict=True):
        assert (arm.name, arm.hyper) == (same.name, same.hyper)
        assert arm.p_best == pytest.approx(same.p_best, abs=0.02)
        assert arm.lr_band == same.lr_band
        assert arm.steps_to_target == same.steps_to_target
        for mirrored, value in ((arm.validation, same.validation), (arm.test, same.test)):
            assert mirrored.mean == pytest.approx(1 - value.mean)
            assert (mirrored.lo, mirrored.hi) == pytest.approx((1 - value.hi, 1 - value.lo))
        for mirrored, rate in zip(arm.rates, same.rates, strict=True):
            assert (mirrored.lr, mirrored.status) == (rate.lr, rate.status)
            if rate.validation is None:
                assert mirrored.validation is None
            else:
                assert mirrored.validation == pytest.approx(1 - rate.validation)


def test_the_band_compares_each_rate_after_as_many_steps_as_it_was_given():
    """Rate 1 was dropped at step 1 with 0.5, when the best had 0.45; at the end it has 0.1."""
    runs = [
        Run(Trial("a", {"lr": lr}, 0), tuple(Point(i, 1, 1, v) for i, v in enumerate(values)))
        for lr, values in {1.0: (0.9, 0.455), 2.0: (0.9, 0.45, 0.1), 4.0: (0.9, 0.6)}.items()
    ]
    rates = _rates(runs, space.Configuration(2.0), Settings(("a",), 2, 0), sign=1)
    assert _band(runs, rates, chosen=2.0, sign=1, baseline=0.9) == (1.0, 2.0)


def digits_twin():
    return replace(small_recipe(), steps=9)


def test_starts_and_schedules_are_dimensions_of_the_comparison(tmp_path):
    """The verdict knows each arm's parts and each choice's effect; the folder continues and differs."""
    out = tmp_path / "run"
    asked = {"init": ["he_normal", "glorot_uniform"], "schedule": ["constant", "cosine"]}

    def run(**changes):
        return api.compare(small_recipe(), ["adam"], out, command="test", lane="serial", **changes)

    verdict = run(**asked)
    written = json.loads((out / "verdict.json").read_text())
    names = {f"adam/{i}/{s}" for i in asked["init"] for s in asked["schedule"]}
    assert {arm.name for arm in verdict.arms} == names
    assert {(a["name"], a["optimizer"], a["init"], a["schedule"]) for a in written["arms"]} == {
        (name, *name.split("/")) for name in names
    }
    assert set(written["effects"]) == {"init", "schedule"}
    for dimension, levels in written["effects"].items():
        assert {level["name"] for level in levels} == set(asked[dimension])
        assert sum(level["p_best"] for level in levels) == pytest.approx(1)
    assert run(**asked) == verdict
    with pytest.raises(FolderError, match="this command asks for adam/he_normal,adam/he_uniform"):
        run(init=["he_normal", "he_uniform"])


def test_another_schedule_of_the_same_name_is_refused(tmp_path):
    out = tmp_path / "run"
    recipe = replace(small_recipe(), steps=27)

    def run(steps):
        mine = schedules.function(lambda step: 1 / (1 + step / steps), "mine", tail=1)
        return api.compare(recipe, OPTIMIZERS, out, schedule=[mine], lane="serial", command="test")

    run(10)
    with pytest.raises(FolderError, match="with another 'sgd': its rule, start, schedule"):
        run(20)


def test_runs_that_stop_early_are_compared_at_their_best(tmp_path):
    """What counts is the best weights' metric, and the steps that were really taken."""
    recipe = digits_recipe(steps=81, patience=2)
    verdict = api.compare(recipe, OPTIMIZERS, tmp_path / "run", lane="serial", command="test")
    store = Store(tmp_path / "run")
    study = conclude(store)
    store.close()
    for arm in verdict.arms:
        finals = [r for r in study.final if r.trial.procedure == arm.name]
        ends = [run.curve[-1].validation_metric for run in finals]
        assert ends == [min(point.validation_metric for point in run.curve) for run in finals]
        assert arm.validation.mean == pytest.approx(np.mean(ends), rel=1e-12)
        selection = [r for r in study.selection if r.trial.procedure == arm.name]
        assert arm.gradient_steps <= sum(run.curve[-1].step for run in selection)
    assert sum(arm.gradient_steps for arm in verdict.arms) < sum(
        run.curve[-1].step for run in study.selection
    )
