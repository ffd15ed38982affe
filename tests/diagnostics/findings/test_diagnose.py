"""The order of findings, and the outcome gate."""

from __future__ import annotations

import math

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.findings import diagnose
from ravine.diagnostics.findings._outcome import outcome
from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Name
from tests.diagnostics.findings.histories import ALL_STUCK, FACTS, LEARNED, LEVEL, history

SYMPTOMS = {
    **{"dead_units@relu": 0.9, "input_mean": 0.0, "input_std": 100.0, "frozen_parameters": 0.9},
    **{"saturated_activations@tanh": 0.9, "output_spread": 1e-8, "step_to_median": 50.0},
}


def test_a_run_that_trains_well_is_left_alone():
    assert diagnose(history(LEARNED, (LEVEL, 0.2, 0.1), SYMPTOMS), FACTS) == []
    assert len(diagnose(history(ALL_STUCK, (LEVEL, LEVEL), SYMPTOMS), FACTS)) >= 5


def test_what_is_certain_passes_the_gate_at_half_its_severity():
    certain = {"broadcast_targets": 1.0}
    (stuck, *_) = diagnose(history(ALL_STUCK, (), certain), FACTS)
    (well,) = diagnose(history(LEARNED, (), certain), FACTS)
    assert stuck.kind == well.kind == "cost_target_mismatch"
    assert stuck.severity == 0.97
    # The last fifth of the run, steps 80 to 99, has the median loss 2·(0.95⁸⁹ + 0.95⁹⁰)/2.
    left = (0.95**89 + 0.95**90) / 2
    assert math.isclose(well.severity, 0.97 * (0.5 + 0.5 * left) / 2, rel_tol=1e-12)


def test_the_worst_comes_first_and_each_kind_once():
    two = {**SYMPTOMS, "saturated_activations@other": 0.8}
    found = diagnose(history(ALL_STUCK, (), two), FACTS)
    severities = [finding.severity for finding in found]
    assert severities == sorted(severities, reverse=True)
    assert len({finding.kind for finding in found}) == len(found)
    assert found[0].kind == "frozen_parameters"


def test_nothing_is_said_of_a_run_that_has_hardly_begun():
    begun = {"frozen_parameters": 0.9, "broadcast_targets": 1.0}
    assert [f.kind for f in diagnose(history(ALL_STUCK[:19], (), begun), FACTS)] == [
        "cost_target_mismatch"
    ]
    assert diagnose(History(), FACTS) == []


def test_a_metric_that_does_not_follow_the_cost_closes_no_gate():
    run = history(LEARNED, (LEVEL, 0.2, 0.1), {"validation_metric": [0.9, 0.9, 0.9, 0.89, 0.88]})
    assert not outcome(run, FACTS).well
    (found,) = diagnose(run, FACTS)
    assert found.kind == "cost_target_mismatch"


def test_a_metric_that_is_maximized_counts_by_what_is_missing_to_one():
    most = Facts(batch_size=32, maximize=True)
    accuracy = history(LEARNED, (LEVEL, 0.2, 0.1), {"validation_metric": [0.1, 0.5, 0.9, 0.9, 0.9]})
    assert math.isclose(outcome(accuracy, most).metric_left, 0.1 / 0.9, rel_tol=1e-12)
    stays = history(LEARNED, (LEVEL, 0.2, 0.1), {"validation_metric": [0.1, 0.1, 0.1, 0.11, 0.12]})
    assert [finding.kind for finding in diagnose(stays, most)] == ["cost_target_mismatch"]
    score = history(LEARNED, (LEVEL, 0.2, 0.1), {"validation_metric": [20, 20, 20, 20, 20]})
    assert math.isnan(outcome(score, most).metric_left)
    assert diagnose(score, most) == []


def test_small_minibatches_do_not_say_what_a_constant_output_loses():
    run = history(ALL_STUCK, (), {"loss_of_a_constant": 0.5})
    assert outcome(run, Facts(batch_size=32)).left == 4.0
    assert outcome(run, Facts(batch_size=2)).left == 1.0


def test_not_finite_says_where_and_when():
    run = history([*ALL_STUCK[:40], *[math.nan] * 60])
    run.add(39, {Name("last_non_finite_gradient", "2.weight"): 1.0})
    run.add(40, {Name("first_non_finite_output", "0"): 1.0})
    found = diagnose(run, FACTS)[0]
    assert (found.kind, found.step, found.place) == ("not_finite", 39, "2.weight")
    assert found.severity == 0.99


def test_a_loss_that_grew_before_it_was_lost_points_at_the_rate():
    grown = [2.0 * 1.5**step for step in range(40)]
    found = diagnose(history([*grown, *[math.inf] * 60]), FACTS)
    assert [finding.kind for finding in found[:2]] == ["lr_too_high", "not_finite"]


def test_a_metric_that_is_the_cost_says_nothing_of_its_own():
    run = history(ALL_STUCK, (40.0, 2.0, 2.0), {})
    for step, value in run.series("validation_cost"):
        run.add(step, {Name("validation_metric"): value})
    assert math.isnan(outcome(run, FACTS).metric_left)
    assert not outcome(run, FACTS).well


def test_a_good_metric_outweighs_a_validation_cost_of_few_sure_errors():
    metric = {"validation_metric": [0.9, 0.5, 0.08, 0.08, 0.08]}
    sure = history(LEARNED, (LEVEL, 1.5, 1.5, 1.5), {**metric, "input_mean": 0, "input_std": 100})
    assert outcome(sure, FACTS).left == 0.75
    assert diagnose(sure, FACTS) == []


def test_what_a_quick_predictor_does_better_holds_a_run_up():
    """A fifth of the loss is left; the predictor leaves a hundredth, or a tenth."""
    left = [LEVEL * 0.2] * 100
    assert outcome(history(left, (), {"probe_left": 0.01}), FACTS).held
    assert not outcome(history(left, (), {"probe_left": 0.1}), FACTS).held
    assert (
        outcome(history(left, (), {"probe_left": 0.01, "cost_is_robust": 1.0}), FACTS).attainable
        == 0.1
    )
