"""What the model returns does not suit the cost, or is the same for all examples."""

from __future__ import annotations

import math

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import (
    always,
    constant_outputs,
    finite,
    first,
    late,
    median,
    usual,
)
from ravine.diagnostics.history import History

SQUASHED = {"ends_in_sigmoid": "sigmoid", "ends_in_tanh": "tanh", "ends_in_relu": "ReLU"}

BEYOND = {
    "ends_in_sigmoid": ("targets_below_0", "targets_above_1"),
    "ends_in_tanh": ("targets_below_-1", "targets_above_1"),
    "ends_in_relu": ("targets_below_0",),
}
"""Where targets lie that it cannot return."""

LARGE, FAR = 10.0, 30.0
"""Deviation of targets, and over that of the outputs at the start; a network that suits its targets is
of the order of 1, and starts at a tenth to a half of their deviation."""

MISSED = 0.05
"""Share of such targets that is no accident."""

CUT_OFF = 0.2
"""A ReLU at the output cuts off where this share of the outputs is 0."""

COLLAPSED, SHRUNK = 0.05, 0.3
"""The same, for outputs that were apart: a tenth of the least that a healthy run begins with, and less
than so much of what this one began with."""


def find(history: History, facts: Facts) -> list[Finding]:
    """wrong_output, cost_target_mismatch, constant_output."""
    result = outcome(history, facts)
    found = [
        _normalized_twice(history, result),
        _no_likelihood(history),
        _one_class(history, result),
        _squashed(history, result),
        _broadcast(history, result),
        _metric_stays(history, result),
        _out_of_scale(history, result),
        _constant(history, result),
    ]
    return [finding for finding in found if finding is not None]


def _normalized_twice(history: History, result: Outcome) -> Finding | None:
    """Cross-entropy takes a log-softmax itself."""
    if not always(history, "cost_is_likelihood_of_classes"):
        return None
    if not always(history, "log_softmax_before_cost"):
        return None
    softmax = always(history, "ends_in_softmax") or (
        always(history, "output_sums_to_one") and usual(history, "output_width") > 1
    )
    ending = next((word for end, word in SQUASHED.items() if always(history, end)), None)
    if not softmax and ending is None:
        return None
    what = "probabilities that sum to 1" if softmax else f"what a {ending} leaves"
    return Finding(
        "wrong_output",
        result.severity(0.98),
        f"The model returns {what}, and the cost takes a softmax of them once more: the loss is "
        f"{result.end:.3g}, and it cannot come near 0.",
        f"Remove the {'softmax' if softmax else ending} at the end of the model; "
        "cross_entropy wants logits.",
        0,
    )


def _one_class(history: History, result: Outcome) -> Finding | None:
    if not always(history, "ends_in_softmax") or usual(history, "output_width") != 1:
        return None
    return Finding(
        "wrong_output",
        result.severity(0.99),
        "The model ends in a softmax of 1 unit, which is 1 whatever the input.",
        "Use a sigmoid for one unit, or two units.",
        0,
    )


def _squashed(history: History, result: Outcome) -> Finding | None:
    """A bounded output at a cost that is no likelihood of shares."""
    ending = next((end for end in SQUASHED if always(history, end)), None)
    if ending is None or not result.held or always(history, "cost_is_likelihood_of_shares"):
        return None
    if always(history, "cost_is_likelihood_of_classes"):
        return None
    if always(history, "cost_is_likelihood_of_logits"):
        return _wrong(ending, result, "the cost takes a sigmoid itself, of any number")
    missed = sum(usual(history, quantity) for quantity in BEYOND[ending])
    zero = late(history, "zero_outputs")
    if missed > MISSED:
        held = f"{missed:.0%} of the targets lie outside of what it can return"
    elif result.well or missed == 0 or (ending == "ends_in_relu" and not zero > CUT_OFF):
        return None
    elif ending == "ends_in_relu":
        held = f"{zero:.0%} of the outputs are exactly 0"
    else:
        held = "it cannot leave its bounds"
    return _wrong(ending, result, held)


def _wrong(ending: str, result: Outcome, held: str) -> Finding:
    return Finding(
        "wrong_output",
        result.severity(0.96),
        f"The model ends in a {SQUASHED[ending]}: {held}, and {result.left:.0%} of the loss of a "
        "constant output is left.",
        f"Remove the {SQUASHED[ending]} at the end if targets lie outside its range.",
        0,
    )


def _no_likelihood(history: History) -> Finding | None:
    """-log p is never below 0."""
    losses = finite(history.series("loss").values)
    below = [loss for loss in losses if loss < 0]
    if not always(history, "cost_is_likelihood_of_classes") or len(below) < len(losses) / 2:
        return None
    if not below or always(history, "log_softmax_before_cost"):
        return None
    return Finding(
        "wrong_output",
        0.98,
        f"The loss is a negative log-likelihood, and below 0 ({median(losses):.3g}): what it is given "
        "are no log-probabilities.",
        "Use cross_entropy, or a log_softmax before nll_loss.",
        0,
    )


def _broadcast(history: History, result: Outcome) -> Finding | None:
    if always(history, "broadcast_targets"):
        return Finding(
            "cost_target_mismatch",
            result.severity(0.97),
            "Output and target have different shapes and were broadcast against each other: every "
            "output is compared with every target.",
            "Give targets the output's shape, e.g. target.view_as(output).",
            0,
        )
    variance = sum(history.series("gradient_variance").values)
    signal = sum(history.series("true_gradient_norm_squared").values)
    shrunk = late(history, "output_std") < 0.3 * first(history, "output_std")
    if result.left > 0.9 and shrunk and 0 < variance < 4 * signal:
        return Finding(
            "cost_target_mismatch",
            result.severity(0.85),
            f"All examples pull alike (noise scale {variance / signal:.2g} examples) towards one "
            f"output for all: its spread fell from {first(history, 'output_std'):.3g} to "
            f"{late(history, 'output_std'):.3g} while {result.left:.0%} of the loss is left.",
            "Check that output and target have the same shape: [n, 1] - [n] is [n, n].",
            0,
        )
    return None


def _metric_stays(history: History, result: Outcome) -> Finding | None:
    """The cost is learned, and the metric hears nothing of it."""
    fell = result.left < 0.7 and not result.validation > 0.7 * result.before
    if not (fell and result.metric_left > 0.9):
        return None
    return Finding(
        "cost_target_mismatch",
        0.95,
        f"The validation cost fell to {result.left:.0%}, and the metric stays at "
        f"{result.metric_left:.0%} of what it was before training.",
        "Check that the cost compares what the metric compares: shapes, axes, class numbers.",
        0,
    )


def _out_of_scale(history: History, result: Outcome) -> Finding | None:
    """Targets of another order than what a network starts with: its outputs have far to go."""
    if result.well or not always(history, "cost_is_squared_error") or not result.constant > 0:
        return None
    width = result.constant if always(history, "cost_is_robust") else math.sqrt(result.constant)
    begun = first(history, "output_std")
    if not (width > LARGE and width > FAR * begun):
        return None
    return Finding(
        "cost_target_mismatch",
        result.severity(0.86),
        f"Targets vary by {width:.3g}, outputs by {begun:.3g} at the start; {result.left:.0%} of the "
        "loss of a constant output is left.",
        "Standardize targets, and undo it after the model.",
        0,
    )


def _constant(history: History, result: Outcome) -> Finding | None:
    begun, now = first(history, "output_spread"), late(history, "output_spread")
    if result.well:
        return None
    if constant_outputs(history):
        return Finding(
            "constant_output",
            result.severity(0.94),
            f"All examples get the same output: over them it varies by "
            f"{usual(history, 'output_std'):.2g}, which is what rounding leaves.",
            "Look for what loses the inputs: all dropped, a mean over the wrong axis, whole numbers.",
            0,
        )
    if not (now < COLLAPSED and now < SHRUNK * begun):
        return None
    return Finding(
        "constant_output",
        result.severity(0.72),
        f"All examples get the same output: it varies over them by {now:.2g} of what it varies "
        f"within one ({begun:.2g} at the first step).",
        "Units died or saturated on the way: lower the learning rate, look at the layers.",
        history.series("output_spread").steps[0],
    )
