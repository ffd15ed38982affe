"""The cases hang together: form, labels, and that a label can be measured again."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from ravine.initializers import constant
from tests.faults import judged
from tests.faults.cases import CASES, HEALTHY, KINDS, data_of, half
from tests.faults.form import changed, described, differences, missing
from tests.faults.judged import data, sources
from tests.faults.outcomes import (
    MARGIN,
    MOST,
    REACHED,
    SEEDS,
    Ends,
    judge_case,
    judge_run,
    lost,
    of,
    stored,
    train,
)
from tests.faults.tasks import MLP

AGAIN = (
    "sgd-rate-/1000",
    "on-the-saddle",
    "correlated-features",
    "wine-as-measured",
    "mnist-hinge-of-zeros",
)


def test_names_are_unique():
    names = Counter(each.name for each in (*CASES, *HEALTHY))
    assert "" not in names
    assert max(names.values()) == 1, names.most_common(3)


def test_every_kind_of_finding_is_planted_and_no_other():
    assert {case.kind for case in CASES} == set(KINDS)
    assert {kind for case in CASES for kind in case.kinds} <= set(KINDS)
    assert all(len(set(case.kinds)) == len(case.kinds) for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_and_its_twin_differ_in_the_one_line_that_is_named(case):
    assert differences(case.faulty, case.healthy) == [case.change]


def test_differences_are_found_wherever_they_are():
    other = changed(changed(MLP, "lr", 0.2), "data.roll", 3)
    assert differences(MLP, MLP) == []
    assert differences(MLP, other) == ["lr", "data.roll"]
    assert differences(MLP, replace(MLP, init=constant(0.1))) == ["init"]
    assert differences(MLP, changed(MLP, "data", partial(dict))) == ["data"]
    assert differences(MLP, changed(changed(MLP, "model.dropout", 0.5), "model.dropout", 0.0)) != []


def test_both_halves_have_every_kind_of_fault_and_healthy_runs():
    for side in ("set", "judged"):
        assert {case.kind for case in CASES if half(case) == side} == set(KINDS)
    for group in (CASES, HEALTHY):
        count = Counter(map(half, group))
        assert min(count["set"], count["judged"]) >= len(group) / 5


def test_the_half_that_judges_is_large_enough_and_has_every_kind_twice():
    kinds = Counter(case.kind for case in judged.CASES)
    assert min(kinds[kind] for kind in KINDS) >= 2, kinds
    assert len(judged.CASES) >= 60
    assert len(judged.HEALTHY) >= 45


def test_the_halves_have_no_training_and_no_data_in_common():
    """A threshold that was set on one half has seen nothing of the other."""
    setups = {"set": [], "judged": []}
    for case in CASES:
        setups[half(case)] += [case.faulty, case.healthy]
    for run in HEALTHY:
        setups[half(run)].append(run)
    trained = {side: set(map(described, those)) for side, those in setups.items()}
    assert not trained["set"] & trained["judged"]
    made = {
        side: {(data_of(setup), setup.recipe.keywords["data"].func.__module__) for setup in those}
        for side, those in setups.items()
    }
    assert not made["set"] & made["judged"]
    assert {module for _, module in made["judged"]} == {"tests.faults.judged.data"}


def test_a_healthy_run_of_the_judging_half_is_no_twin_of_a_case():
    twins = {described(case.healthy) for case in CASES}
    assert [run.name for run in judged.HEALTHY if described(run) in twins] == []


@pytest.mark.parametrize(
    "made",
    [
        data.cancer,
        data.diabetes,
        data.prices,
        data.letters,
    ],
    ids=lambda made: made.__name__,
)
def test_shuffled_targets_are_the_same_ones_in_another_order_and_validation_is_clean(made):
    (x, y), validation = made()
    (same_x, shuffled), clean = made(shuffled=True)
    assert torch.equal(x, same_x)
    assert not torch.equal(y, shuffled)
    assert sorted(y.tolist()) == sorted(shuffled.tolist())
    assert all(map(torch.equal, validation, clean))


def test_data_that_are_absent_are_missed_by_name(monkeypatch, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow reads the data sets")
    monkeypatch.setenv("RAVINE_DATA", str(tmp_path))
    sources.mnist_images.cache_clear()
    data.mnist.cache_clear()
    case = next(case for case in CASES if case.name == "mnist-strided-rate-x60")
    assert str(tmp_path / "mnist" / "train.parquet") in missing(case.healthy)
    assert missing(MLP) == ""


def test_every_case_has_a_label_and_no_other_is_stored():
    assert list(stored()["cases"]) == [case.name for case in CASES]
    assert list(stored()["healthy"]) == [run.name for run in HEALTHY]
    assert stored()["rules"]["seeds"] == list(SEEDS)
    assert (stored()["rules"]["margin"], stored()["rules"]["reached"]) == (MARGIN, REACHED)
    changed_since = [c.name for c in CASES if of(c)["setup"] != described(c.faulty)]
    changed_since += [c.name for c in CASES if of(c)["twin_setup"] != described(c.healthy)]
    changed_since += [run.name for run in HEALTHY if of(run)["setup"] != described(run)]
    assert not changed_since, "label anew: python -m benchmarks.diagnosis --label NAME ..."
    lengths = {len(of(case)[part]) for case in CASES for part in ("faulty", "twin", "untrained")}
    lengths |= {len(of(run)[part]) for run in HEALTHY for part in ("trained", "untrained")}
    assert lengths == {len(SEEDS)}
    assert len(SEEDS) >= 10


def test_the_outcomes_make_at_least_forty_faults_and_thirty_healthy_runs():
    for case in CASES:
        row = of(case)
        twin = Ends(tuple(row["untrained"]), tuple(row["twin"]))
        judged = judge_case(Ends(twin.untrained, tuple(row["faulty"])), twin)
        assert judged == {name: row[name] for name in judged}, case.name
        assert row["fault"], case.name
        assert row["twin_healthy"], case.name
        assert row["ci95"][0] >= MARGIN, case.name
    for run in HEALTHY:
        assert of(run)["healthy"], run.name
        assert of(run)["reached"] >= REACHED, run.name
    assert len(CASES) >= 40
    assert len(HEALTHY) >= 30


def test_a_loss_is_a_share_of_the_way_that_the_twins_went():
    """Ways 10 and 6 on average 8; 4 / 8, and a run that diverged counts as twice the way."""
    healthy = Ends((11.0, 9.0, 10.0), (1.0, 3.0, 2.0))
    faulty = Ends((0.0, 0.0, 0.0), (5.0, None, 1e9))
    np.testing.assert_allclose(lost(faulty, healthy), [0.5, MOST, MOST], rtol=1e-15)


def test_a_fault_loses_more_than_the_margin_beyond_doubt():
    """Student's paired interval by its textbook form; t with 3 degrees of freedom is 3.182."""
    healthy = Ends((1.0,) * 4, (0.0,) * 4)
    shares = np.array([0.10, 0.20, 0.30, 0.20])
    radius = stats.t.ppf(0.975, 3) * shares.std(ddof=1) / 2
    judged = judge_case(Ends((1.0,) * 4, tuple(shares)), healthy)
    np.testing.assert_allclose(judged["ci95"], [0.2 - radius, 0.2 + radius], rtol=1e-12)
    assert not judged["fault"]
    assert judge_case(Ends((1.0,) * 4, tuple(0.1 + shares)), healthy)["fault"]
    assert judge_case(Ends((1.0,) * 4, (0.2,) * 4), healthy)["fault"]
    assert not judge_case(Ends((1.0,) * 4, (0.05,) * 4), healthy)["fault"]


def test_a_healthy_run_comes_nine_tenths_of_the_way_to_the_best_known():
    own = Ends((1.0, 1.0), (0.2, 0.2))
    assert judge_run(own, [])["healthy"]
    assert judge_run(own, [Ends((), (0.12, 0.12)), Ends((), (0.0, None))])["healthy"]
    judged = judge_run(own, [Ends((), (0.05, 0.15)), Ends((), (0.0, 0.0))])
    assert math.isclose(judged["reached"], 0.8, rel_tol=1e-12)
    assert not judged["healthy"]
    assert not judge_run(Ends((1.0, 1.0), (0.0, None)), [])["healthy"]


@pytest.mark.parametrize("name", AGAIN)
def test_a_stored_outcome_is_measured_again(name):
    measured = stored()["environment"]["torch"]
    if measured != torch.__version__:
        pytest.skip(f"outcomes were measured with torch {measured}, this is {torch.__version__}")
    (case,) = (case for case in CASES if case.name == name)
    if lacking := missing(case.healthy):
        pytest.skip(lacking)
    row = of(case)
    for setup, part in ((case.faulty, "faulty"), (case.healthy, "twin")):
        (value,) = train(setup, SEEDS[:1]).trained
        assert math.isclose(value, row[part][0], rel_tol=1e-4, abs_tol=1e-4), part
