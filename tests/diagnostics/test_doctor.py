"""A visit: what it tries, what it recommends, and what that really gains."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from ravine.diagnostics.doctor import Attempt, _chosen, visit
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.patient import Change, Patient
from ravine.recipes import load
from ravine.training.lane import Member
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.problems import digits_recipe, plain

STEPS = 81


def found(*kinds: str):
    return lambda history, facts: [Finding(kind, 0.9, "e", "r", 0) for kind in kinds]


def patient(lr: float, **changes) -> Patient:
    return Patient(digits_recipe(steps=STEPS, **changes), plain("sgd")["sgd"], lr)


def trained(lr: float, seed: int, until: int = STEPS, **changes) -> float:
    """The validation metric of a training by itself."""
    problem = load(digits_recipe(steps=STEPS, **changes))
    lane = SerialLane(problem, plain("sgd"))
    (member,) = lane.train([Member.new(Trial("sgd", {"lr": lr}, seed))], until, lambda steps: None)
    return member.run.curve[-1].validation_metric


def test_a_rate_that_is_too_low():
    """The figures are those of trainings by hand; the interval is a paired t interval."""
    prescription = visit(patient(1e-4), 5, found("lr_too_low"))
    assert prescription.screened == trained(1e-4, 5, 27)
    by_name = {attempt.change.name: attempt.metric for attempt in prescription.attempts}
    assert by_name == {f"learning rate x {k}": trained(1e-4 * k, 5, 27) for k in (10, 100, 1000)}
    assert prescription.attempts[0].change.name == "learning rate x 1000"
    assert prescription.recommended is prescription.attempts[0].change
    gains = [trained(1e-4, seed) - trained(0.1, seed) for seed in (6, 7, 8)]
    assert prescription.gains == pytest.approx(gains, rel=1e-12)
    low, high = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    assert prescription.interval == pytest.approx((low, high), rel=1e-9)
    assert prescription.gradient_steps == STEPS + 3 * 27 + 6 * STEPS


def test_the_dearest_visit_costs_less_than_ten_trainings():
    kinds = ("vanishing_gradients", "saturated_units", "lr_too_high", "plateau")
    prescription = visit(patient(0.1), diagnose=found(*kinds))
    assert len(prescription.attempts) == 6
    assert prescription.gradient_steps <= 10 * STEPS


def test_nothing_found_is_nothing_tried():
    prescription = visit(patient(0.1), diagnose=found())
    assert prescription.attempts == ()
    assert prescription.recommended is None
    assert prescription.gradient_steps == STEPS


def test_a_change_that_cannot_be_trained_is_said_and_passed_over():
    """Squared error of ten outputs against classes cannot be shaped; the other change can."""
    cost = lambda o, t: nn.functional.mse_loss(o, nn.functional.one_hot(t, 10).float())  # noqa: E731
    prescription = visit(patient(0.01, cost=cost), diagnose=found("cost_target_mismatch"))
    assert {a.change.name for a in prescription.attempts} == {
        "targets in the output's shape", "cross-entropy"
    }  # fmt: skip
    assert prescription.recommended is not None


def test_a_run_that_diverges_is_helped():
    prescription = visit(patient(1e6), diagnose=found("lr_too_high"))
    assert prescription.run.diverged_at is not None
    assert all(a.change.name.startswith("learning rate /") for a in prescription.attempts)


def attempt(metric: float, size: int) -> Attempt:
    return Attempt(Change(f"{size}:{metric}", "", size, lambda p: p), metric)


@pytest.mark.parametrize(
    ("attempts", "untouched", "sign", "chosen"),
    [
        ([attempt(0.10, 5), attempt(0.13, 1)], 0.5, 1, "1:0.13"),  # 0.37 of 0.40
        ([attempt(0.10, 5), attempt(0.15, 1)], 0.5, 1, "5:0.1"),
        ([attempt(0.50, 1), attempt(0.60, 1)], 0.5, 1, None),
        ([attempt(0.90, 5), attempt(0.87, 1)], 0.5, -1, "1:0.87"),
        ([attempt(math.nan, 1), attempt(0.4, 2)], 0.5, 1, "2:0.4"),
        ([attempt(math.inf, 1)], 0.5, 1, None),
        ([attempt(0.2, 5), attempt(0.9, 1)], math.nan, 1, "5:0.2"),
        ([attempt(0.9, 4)], math.inf, 1, "4:0.9"),
    ],
)
def test_the_smallest_change_that_nearly_does_best_is_chosen(attempts, untouched, sign, chosen):
    found_change = _chosen(attempts, untouched, sign)
    assert (found_change and found_change.name) == chosen


def test_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    visit(patient(0.1), diagnose=found("lr_too_high"))
    assert torch.equal(torch.random.get_rng_state(), state)


def ended(untouched: tuple[float, ...], changed: tuple[float, ...], maximize: bool = False):
    found = visit(patient(0.1), diagnose=found_nothing)
    return replace(found, untouched=untouched, changed=changed, maximize=maximize)


def found_nothing(history, facts):
    return []


@pytest.mark.parametrize(
    ("untouched", "changed", "maximize", "works"),
    [
        ((0.9, 0.8, 0.9), (0.1, 0.1, 0.2), False, True),
        ((0.1, 0.1, 0.2), (0.9, 0.8, 0.9), False, False),
        ((0.1, 0.1, 0.2), (0.9, 0.8, 0.9), True, True),
        ((0.90, 0.80, 0.90), (0.89, 0.81, 0.90), False, False),  # 0 on average
        ((), (), False, False),
    ],
)
def test_a_change_works_if_its_gain_is_shown_on_fresh_seeds(untouched, changed, maximize, works):
    assert ended(untouched, changed, maximize).works == works
