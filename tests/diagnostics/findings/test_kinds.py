"""Every kind of finding: in a history that has it, and not in one that just does not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ravine import penalties, rules
from ravine.diagnostics.facts import Facts, facts_of
from ravine.diagnostics.finding import KINDS
from ravine.diagnostics.findings import diagnose
from ravine.training.procedure import Procedure
from tests.diagnostics.findings.histories import (
    ALL_STUCK,
    FACTS,
    LEARNED,
    LEVEL,
    STEPS,
    history,
)
from tests.problems import digits_problem

DEPTH = 9
SHRINKING = {f"backpropagated_norm@{i}": 0.3 ** (DEPTH - i) for i in range(DEPTH)}
GENTLE = {f"backpropagated_norm@{i}": 0.7 ** (DEPTH - i) for i in range(DEPTH)}
GROWING = {f"backpropagated_norm@{i}": 1.5 ** (DEPTH - i) for i in range(DEPTH)}
SLOW = {"step_length": 1e-4, "update_ratio@w": 1e-5, "gradient_norm": 1.0}
"""Of parameters of size 10."""
TWO_LAYERS = {"equal_weights@0.weight": 0.0, "equal_weights@2.weight": 0.0}
SOFTMAX = {
    **{"cost_is_likelihood_of_classes": 1.0, "log_softmax_before_cost": 1.0},
    **{"ends_in_softmax": 1.0, "output_width": 10.0},
}
FLAT_AND_STEEP = {
    **{"largest_eigenvalue": 10.0, "smallest_eigenvalue": 0.01, "overshoot_ratio": 0.9},
    **{"gradient_term": 0.1, "gradient_norm_squared": 1.0},
}
"""At a rate of 0.1."""
LEAVING = {"largest_eigenvalue": 1.0, "smallest_eigenvalue": -0.5}
WELL_DOWN = {"gradient_norm": [1.0, 1.0, 1e-4, 1e-4, 1e-4]}
SWING = [1.0 + 0.5 * math.sin(step / 3) for step in range(STEPS)]
JITTER = [1.0 + 0.5 * (-1) ** step for step in range(STEPS)]
LOST = [*LEARNED[:15], *[2.5] * (STEPS - 15)]
BY_HEART = [LEVEL * (1 - 0.004 * step) for step in range(STEPS)]
AGREEING = {"gradient_variance": 1.0, "true_gradient_norm_squared": 1.0}
DISAGREEING = {"gradient_variance": 1.0, "true_gradient_norm_squared": -0.01}
GONE = {"distance_from_start": 0.1}

# kind: (losses, validation, readings, facts) that have it, and the like that just do not
PAIRS = {
    "not_finite": (
        ([*ALL_STUCK[:50], *[math.nan] * 50], (), {}),
        (ALL_STUCK, (), {}),
    ),
    "wrong_output": (
        (LEARNED, (), SOFTMAX),
        (LEARNED, (), {**SOFTMAX, "ends_in_softmax": 0.0}),
    ),
    "cost_target_mismatch": (
        (ALL_STUCK, (), {"broadcast_targets": 1.0}),
        (ALL_STUCK, (), {"broadcast_targets": 0.0}),
    ),
    "constant_output": (
        (ALL_STUCK, (), {"output_std": 1e-8, "output_spread": 1e-8}),
        (ALL_STUCK, (), {"output_std": 1e-4, "output_spread": 1e-4}),
    ),
    "frozen_parameters": (
        (ALL_STUCK, (), {"frozen_parameters": 0.5}),
        (ALL_STUCK, (), {"frozen_parameters": 0.09}),
    ),
    "symmetric_start": (
        (ALL_STUCK, (), {**TWO_LAYERS, "equal_weights@0.weight": 1.0}),
        (ALL_STUCK, (), {**TWO_LAYERS, "equal_weights@2.weight": 1.0}),
    ),
    "dying_relus": (
        (ALL_STUCK, (), {"dead_units@relu": [0.0, 0.0, 0.9, 0.9, 0.9]}),
        (ALL_STUCK, (), {"dead_units@relu": [0.0, 0.0, 0.9, 0.5, 0.5]}),
    ),
    "saturated_units": (
        (ALL_STUCK, (), {"saturated_activations@tanh": 0.5}),
        (ALL_STUCK, (), {"saturated_activations@tanh": [0.1, 0.1, 0.5, 0.5, 0.5]}),
    ),
    "unscaled_inputs": (
        (ALL_STUCK, (), {"input_mean": 0.0, "input_std": 11.0}),
        (ALL_STUCK, (), {"input_mean": 0.0, "input_std": 9.0}),
    ),
    "batch_norm_misuse": (
        (LEARNED, (2, 2, 2), {"batch_norm_trains@bn": 1.0, "batch_norm_gap@bn": 0.8}),
        (LEARNED, (2, 2, 2), {"batch_norm_trains@bn": 1.0, "batch_norm_gap@bn": 0.25}),
    ),
    "vanishing_gradients": ((ALL_STUCK, (), SHRINKING), (ALL_STUCK, (), GENTLE)),
    "exploding_gradients": ((ALL_STUCK, (), GROWING), (ALL_STUCK, (), GENTLE)),
    "bad_scale_at_start": (
        ([9.0, *ALL_STUCK[1:]], (9.0, 2.0), {}),
        ([3.9, *ALL_STUCK[1:]], (3.9, 2.0), {}),
    ),
    "lr_too_high": (
        ([*ALL_STUCK[:9], *[4.1] * 3, *ALL_STUCK[12:]], (), {}),
        ([*ALL_STUCK[:9], *[4.1] * 2, *ALL_STUCK[11:]], (), {}),
    ),
    "lr_too_low": (
        (ALL_STUCK, (), {**SLOW, **GONE}),
        (ALL_STUCK, (), {**SLOW, "distance_from_start": 1.0}),
    ),
    "plateau": (
        (ALL_STUCK, (), {**SLOW, **GONE, "gradient_norm": 1e-3}),
        (BY_HEART, (), {**SLOW, **GONE, "gradient_norm": 1e-3}),
    ),
    "ill_conditioned": (
        (ALL_STUCK, (), FLAT_AND_STEEP),
        (ALL_STUCK, (), {**FLAT_AND_STEEP, "smallest_eigenvalue": 0.1}),
    ),
    "saddle": (
        (ALL_STUCK, (), {**LEAVING, **WELL_DOWN}),
        (ALL_STUCK, (), {**LEAVING, **WELL_DOWN, "smallest_eigenvalue": -0.05}),
    ),
    "cliff": (
        (LOST, (), {"step_to_median": [1.0, 1.0, 20.0, 1.0, 1.0]}),
        (ALL_STUCK, (), {"step_to_median": [1.0, 1.0, 20.0, 1.0, 1.0]}),
    ),
    "noisy_gradient": (
        (ALL_STUCK, (), DISAGREEING, Facts(batch_size=1)),
        (ALL_STUCK, (), DISAGREEING, Facts(batch_size=32)),
    ),
    "oscillating_loss": ((SWING, (), {}), (JITTER, (), {})),
    "overfitting": (
        (LEARNED, (2.0, 0.8, 0.9, 1.0), {}),
        (LEARNED, (2.0, 0.4, 0.3, 0.3), {}),
    ),
    "underfitting": (([1.5] * STEPS, (), {}), ([1.5] * 50 + [0.9] * 50, (), {})),
    "shuffled_labels": (
        (BY_HEART, (2.1, 2.05, 2.0, 2.0, 2.1, 2.2), DISAGREEING),
        (BY_HEART, (2.1, 2.05, 2.0, 1.8, 1.7, 1.7), DISAGREEING),
    ),
}


def kinds(losses, validation, readings, facts=FACTS):
    return [finding.kind for finding in diagnose(history(losses, validation, readings), facts)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_found_where_it_is_and_not_where_it_just_is_not(kind):
    there, not_there = PAIRS[kind]
    assert kind in kinds(*there)[:2]
    assert kind not in kinds(*not_there)


NUMBERS = {
    "vanishing_gradients": ("0.3 times a layer", SHRINKING, ALL_STUCK),
    "dying_relus": ("90% of the units of relu", {"dead_units@relu": 0.9}, ALL_STUCK),
    "frozen_parameters": ("50% of the parameters", {"frozen_parameters": 0.5}, ALL_STUCK),
    "lr_too_high": ("from 2 to 61;", {}, [*ALL_STUCK[:9], *[61.0] * 3, *ALL_STUCK[12:]]),
    "lr_too_low": ("by 0.01 of their size", {**SLOW, **GONE}, ALL_STUCK),
    "ill_conditioned": ("ελmax = 1), others are 1e+03 times flatter", FLAT_AND_STEEP, ALL_STUCK),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_evidence_has_the_numbers(kind):
    words, readings, losses = NUMBERS[kind]
    found = diagnose(history(losses, (), readings), FACTS)
    assert words in next(finding.evidence for finding in found if finding.kind == kind)


@pytest.mark.parametrize("kind", ["overfitting", "underfitting"])
def test_a_training_loss_with_a_penalty_in_it_is_not_compared(kind):
    there, _ = PAIRS[kind]
    assert kind not in kinds(*there, replace(FACTS, penalized=True))


def test_a_recipes_penalty_is_a_fact():
    problem = digits_problem()
    recipe = replace(problem.recipe, penalty=penalties.l2(1e-4))
    procedure = Procedure.of(rules.sgd())
    assert not facts_of(problem, procedure).penalized
    assert facts_of(replace(problem, recipe=recipe), procedure).penalized


def test_facts_are_those_of_the_procedures_own_minibatches():
    problem = digits_problem()
    procedure = Procedure("large", "large", rules.sgd(), batch_size=64)
    found = facts_of(problem, procedure)
    assert (found.batch_size, found.steps) == (64, problem.steps)
