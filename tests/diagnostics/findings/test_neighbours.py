"""Rules that tell a fault from its neighbours: readings that have it, and the like that do not."""

from __future__ import annotations

import math

import pytest

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.findings import diagnose
from tests.diagnostics.findings.histories import ALL_STUCK, FACTS, LEARNED, LEVEL, STEPS, history

FLAT = (2.0, 2.0, 2.0, 2.0)
PROBED = {"relation_examples": 128.0}
UNRELATED = {**PROBED, "relation": 1.0, "probe_left": 1.1}
RELATED = {**PROBED, "relation": 12.0, "probe_left": 0.2}
AS_NOISY = {**PROBED, "relation": 12.0, "probe_left": 0.6}
HALF = [LEVEL * 0.6] * STEPS
SQUARES = {"cost_is_squared_error": 1.0, "cost_is_likelihood_of_classes": 0.0}
LOGITS = {"cost_is_likelihood_of_logits": 1.0, "ends_in_sigmoid": 1.0}
CLASSES = {"cost_is_likelihood_of_classes": 1.0, "log_softmax_before_cost": 0.0}
NEGATIVE = [-0.1 - 0.005 * step for step in range(STEPS)]
AT_THE_EDGE = {"overshoot_ratio": 0.9, "probe_left": 0.01}
SLOPING = {"step_length": 1e-4, "update_ratio@w": 1e-5, "gradient_norm": 1.0}
"""Of parameters of size 10."""
STRAIGHT = {"gradient_cosine": 0.8, "gradient_cosine_lag": 20.0, "distance_from_start": 2.0}
WINDING = {**STRAIGHT, "gradient_cosine": 0.4, "step_length": 0.1, "update_ratio@w": 0.01}
"""2 of a path of 100 steps of 0.1."""
RUNNING = {**SLOPING, "gradient_norm_squared": 1.0, "distance_from_start": 8.0}
NORMED = {"batch_norm_trains@bn": 1.0, "batch_norm_gap@bn": 0.5}
FAR_OFF = {**SQUARES, "output_std": 0.3, "target_classes": math.nan}
EVEN = {"cost_is_likelihood_of_classes": 1.0, "loss_of_zeros": LEVEL, "loss_of_a_constant": LEVEL}
FELL = [max(LEVEL * 0.95**step, 0.3) for step in range(STEPS)]
"""Not by heart."""
SINKING = [LEVEL * (1 - 0.004 * step) for step in range(STEPS)]
WELL_ON = [*LEARNED[:30], *[LEARNED[30]] * (STEPS - 30)]


def spiked(height: float) -> list[float]:
    """A run on its way down that is thrown back at step 40."""
    return [*WELL_ON[:40], height * WELL_ON[30], *[2.5] * (STEPS - 41)]


def back(rise: float) -> list[float]:
    """Down to 0.5, and up again by `rise`, a line each."""
    down = [2.0 - 0.03 * step for step in range(STEPS // 2)]
    return [*down, *(0.5 + rise * step / (STEPS // 2) for step in range(STEPS // 2))]


def swinging(drift: float) -> list[float]:
    return [1.0 + drift * step + 0.4 * math.sin(step / 3) for step in range(STEPS)]


def falling(scatter: float) -> list[float]:
    """Steeply, with single losses to both sides: it swings about nothing but its own trend."""
    return [2.0 - 0.015 * step + scatter * (-1) ** step for step in range(STEPS)]


# what: (kind, [losses, validation, readings] with it, and without)
PAIRS = {
    "targets that inputs do not tell": (
        "shuffled_labels",
        (ALL_STUCK, FLAT, UNRELATED),
        (ALL_STUCK, FLAT, RELATED),
    ),
    "learned, but another relation than validation's": (
        "shuffled_labels",
        (LEARNED, (2.2, 3.0, 4.0, 5.0), RELATED),
        (LEARNED, (2.2, 1.9, 4.0, 5.0), RELATED),
    ),
    "a quick predictor does better": (
        "underfitting",
        (HALF, (), RELATED),
        (HALF, (), AS_NOISY),
    ),
    "a cost without a known constant": (
        "underfitting",
        ([2.0] * STEPS, (), {"loss_of_a_constant": math.nan}),
        ([2.0] * 50 + [1.5] * 50, (), {"loss_of_a_constant": math.nan}),
    ),
    "targets that a ReLU cannot reach": (
        "wrong_output",
        (HALF, (), {**SQUARES, "ends_in_relu": 1.0, "targets_below_0": 0.3, "zero_outputs": 0.1}),
        (HALF, (), {**SQUARES, "ends_in_relu": 1.0, "targets_below_0": 0.0, "zero_outputs": 0.1}),
    ),
    "targets that a sigmoid cannot reach": (
        "wrong_output",
        (
            HALF,
            (),
            {**SQUARES, "ends_in_sigmoid": 1.0, "targets_above_1": 0.1, "targets_below_0": 0},
        ),
        (
            HALF,
            (),
            {**SQUARES, "ends_in_sigmoid": 1.0, "targets_above_1": 0.0, "targets_below_0": 0},
        ),
    ),
    "two sigmoids": (
        "wrong_output",
        (HALF, (), LOGITS),
        (HALF, (), {**LOGITS, "ends_in_sigmoid": 0.0}),
    ),
    "a negative log-likelihood below 0": (
        "wrong_output",
        (NEGATIVE, (), CLASSES),
        (NEGATIVE, (), {**CLASSES, "cost_is_likelihood_of_classes": 0.0}),
    ),
    "gates": (
        "saturated_units",
        (ALL_STUCK, (), {"saturated_gates@lstm": 0.5}),
        (ALL_STUCK, (), {"saturated_gates@lstm": [0.1, 0.1, 0.5, 0.5, 0.5]}),
    ),
    "forgets at once": (
        "vanishing_gradients",
        (HALF, (), {"through_time@rnn": 0.2**9, "time_steps@rnn": 9.0}),
        (HALF, (), {"through_time@rnn": 0.45**9, "time_steps@rnn": 9.0}),
    ),
    "forgets all": (
        "vanishing_gradients",
        (ALL_STUCK, (), {"through_time@rnn": 0.45**9, "time_steps@rnn": 9.0}),
        (ALL_STUCK, (), {"through_time@rnn": 0.55**9, "time_steps@rnn": 9.0}),
    ),
    "grows through time": (
        "exploding_gradients",
        (ALL_STUCK, (), {"through_time@rnn": 6.0, "time_steps@rnn": 9.0}),
        (ALL_STUCK, (), {"through_time@rnn": 4.0, "time_steps@rnn": 9.0}),
    ),
    "steps as long as the curvature allows": (
        "ill_conditioned",
        (HALF, (), AT_THE_EDGE),
        (HALF, (), {**AT_THE_EDGE, "probe_left": 0.5}),
    ),
    "straight on": (
        "lr_too_low",
        (SINKING, (), {**SLOPING, **STRAIGHT}),
        (SINKING, (), {**SLOPING, **WINDING}),
    ),
    "a path that is all distance": (
        "lr_too_low",
        (SINKING, (), {**SLOPING, **WINDING, "step_length": 0.024, "update_ratio@w": 0.0024}),
        (SINKING, (), {**SLOPING, **WINDING, "step_length": 0.026, "update_ratio@w": 0.0026}),
    ),
    "a rate that a schedule has let down": (
        "lr_too_low",
        (ALL_STUCK, (), {**RUNNING, "gradient_term": [1.0, 1.0, 1.0, 0.009, 1e-5]}),
        (ALL_STUCK, (), {**RUNNING, "gradient_term": [1.0, 1.0, 1.0, 0.011, 1e-5]}),
    ),
    "another output that is the same for all": (
        "constant_output",
        (ALL_STUCK, (), {"output_std": 1e-7, "output_mean": -0.1}),
        (ALL_STUCK, (), {"output_std": 1e-4, "output_mean": -0.1}),
    ),
    "outputs that come together": (
        "constant_output",
        (ALL_STUCK, (), {"output_std": 0.1, "output_spread": [1.0, 0.5, 0.04, 0.04, 0.04]}),
        (ALL_STUCK, (), {"output_std": 0.1, "output_spread": [0.1, 0.1, 0.04, 0.04, 0.04]}),
    ),
    "targets of another order": (
        "cost_target_mismatch",
        ([300.0] * STEPS, (), {**FAR_OFF, "loss_of_a_constant": 400.0}),
        ([72.0] * STEPS, (), {**FAR_OFF, "loss_of_a_constant": 96.0}),
    ),
    "a start that is no wider than zeros": (
        "bad_scale_at_start",
        ([9.0, *ALL_STUCK[1:]], (9.0, 2.0), {"loss_of_zeros": 4.0}),
        ([9.0, *ALL_STUCK[1:]], (9.0, 2.0), {"loss_of_zeros": 5.0}),
    ),
    "a start next to 0": (
        "bad_scale_at_start",
        (ALL_STUCK, (), {"output_std": [1e-8, 1e-8, 1e-8, 1e-7, 1e-6]}),
        (ALL_STUCK, (), {"output_std": [1e-3, 1e-3, 1e-3, 1e-2, 1e-1]}),
    ),
    "swings back little by little": (
        "oscillating_loss",
        (back(1.2), (), {}),
        (back(0.4), (), {}),
    ),
    "thrown back at once": (
        "oscillating_loss",
        (back(1.2), (), {}),
        ([*WELL_ON[:50], *[2.5] * 50], (), {}),
    ),
    "one minibatch far above the others, early": (
        "cliff",
        ([*ALL_STUCK[:6], 100.0, 20.0, *[2.5] * 92], (), {}),
        ([*ALL_STUCK[:6], 100.0, 1000.0, *[2.5] * 92], (), {}),
    ),
    "no end after a jump": (
        "cliff",
        ([*ALL_STUCK[:6], 100.0, 20.0, *[math.nan] * 92], (), {}),
        ([*ALL_STUCK[:6], 20.0, 3.0, *[math.nan] * 92], (), {}),
    ),
    "stale batch norms of small minibatches": (
        "batch_norm_misuse",
        (LEARNED, FLAT, {**NORMED, "batch_norm_count@bn": 32.0}),
        (LEARNED, FLAT, {**NORMED, "batch_norm_count@bn": 16.0}),
    ),
    "words that neighbours do not tell": (
        "underfitting",
        (ALL_STUCK, FLAT, {**UNRELATED, "relation_of_indices": 1.0}),
        (ALL_STUCK, FLAT, UNRELATED),
    ),
    "validation that learned": (
        "shuffled_labels",
        (HALF, (2.0, 1.9, 1.9, 1.9), {**UNRELATED, "cost_is_likelihood_of_classes": 1.0}),
        (HALF, (2.0, 1.7, 1.9, 1.9), {**UNRELATED, "cost_is_likelihood_of_classes": 1.0}),
    ),
    "a metric that learned": (
        "shuffled_labels",
        (HALF, FLAT, {**UNRELATED, **EVEN, "validation_metric": [0.8, 0.7, 0.65, 0.65, 0.65]}),
        (HALF, FLAT, {**UNRELATED, **EVEN, "validation_metric": [0.8, 0.7, 0.63, 0.63, 0.63]}),
    ),
    "a cost that rises with its metric": (
        "overfitting",
        (FELL, (2.0, 0.8, 0.9, 1.0), {"validation_metric": [0.8, 0.3, 0.3, 0.4, 0.5]}),
        (FELL, (2.0, 0.8, 0.9, 1.0), {"validation_metric": [0.8, 0.3, 0.3, 0.3, 0.3]}),
    ),
    "a cost that cannot reach 0": (
        "underfitting",
        (HALF, (), {**RELATED, "least_loss": 0.1}),
        (HALF, (), {**RELATED, "least_loss": 0.7}),
    ),
    "a jump": ("cliff", (spiked(40.0), (), {}), (spiked(20.0), (), {})),
    "swings about a trend": (
        "oscillating_loss",
        (swinging(0.002), (), {}),
        (falling(0.4), (), {}),
    ),
    "a first loss of a squared error": (
        "bad_scale_at_start",
        ([8.2, *ALL_STUCK[1:]], (8.2, 2.0), SQUARES),
        ([7.8, *ALL_STUCK[1:]], (7.8, 2.0), SQUARES),
    ),
    "validation that is flat far above training": (
        "overfitting",
        (LEARNED, (2.0, 1.2, 1.0, *[0.9] * 10), {}),
        (LEARNED, [2.0 * 0.95**place for place in range(13)], {}),
    ),
}


def kinds(losses, validation, readings):
    many = {k: [v] * 5 if k in ("overshoot_ratio",) else v for k, v in readings.items()}
    run = history(losses, validation, many)
    if "overshoot_ratio" in readings:  # six of them
        run.series("overshoot_ratio").add(STEPS, readings["overshoot_ratio"])
    return [finding.kind for finding in diagnose(run, FACTS)]


@pytest.mark.parametrize("what", PAIRS)
def test_found_where_it_is_and_not_where_it_just_is_not(what):
    kind, has, has_not = PAIRS[what]
    assert kind in kinds(*has)
    assert kind not in kinds(*has_not)


def test_small_noise_of_targets_is_no_fault_of_the_model():
    """Healthy: 60% of the loss is left, as by a quick predictor."""
    assert diagnose(history(HALF, (2.0, 1.3, 1.2, 1.2), AS_NOISY), Facts(batch_size=32)) == []


def test_nothing_is_left_over_beside_what_is_certain():
    assert kinds(ALL_STUCK, (), {}) == ["underfitting"]
    assert kinds(ALL_STUCK, (), {"broadcast_targets": 1.0}) == ["cost_target_mismatch"]
