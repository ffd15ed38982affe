"""What is learned, and whether it holds for other data."""

from __future__ import annotations

import math

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, metric_missing, outcome
from ravine.diagnostics.findings._readings import finite, last, median
from ravine.diagnostics.findings.rate import stands
from ravine.diagnostics.history import History

LEFT = 0.25
"""Share of the constant's loss left in validation, where overfitting matters."""
BY_HEART = 0.1
"""Share of the loss left in training where nothing is left to learn: a good metric does not excuse it."""
WORSE = 0.1
"""A metric over its best, as a share of the way that it had come."""
GAP = 0.5
"""Training loss over validation cost."""
RISE = 1.2
"""Validation cost over its best, as a median of 3: batch norms make single ones jump."""
NOTHING, NOTHING_OF_ANOTHER = 0.95, 0.75
"""Share of the loss left in validation where nothing was learned: of a constant's, or, where that is
unknown, of the first loss, which exceeds it by the variance of the untrained outputs. The constant is
that of training targets: where these are noisier than those of validation, less is left of it."""
UNFIT = 0.5
"""Share of the loss left in training from which on a model may be too small."""
BETTER = 0.7
"""What a quick predictor leaves, over what the model leaves in training: it shows that more is to be
had."""
FALLS = 0.99
"""Validation cost of the last third of the run over that of the middle, where it learns anything."""
STILL = 0.985
"""Validation cost of the last sixth of the run over that of the one before: 0.97 where more came, 1.00
where it was flat."""
NOISE = 100.0
"""Examples; a noise scale beyond it late in the run says that the gradients are all noise."""


def find(history: History, facts: Facts) -> list[Finding]:
    """overfitting, underfitting, shuffled_labels.

    With a penalty in it the training loss is another quantity than the validation cost, and than what
    constants and quick predictors lose: neither overfitting nor underfitting can be told from it.
    """
    result = outcome(history, facts)
    found = [_shuffled(history, result)]
    if not facts.penalized:
        found += [_overfitting(history, facts, result), _underfitting(history, result)]
    return [finding for finding in found if finding is not None]


def _overfitting(history: History, facts: Facts, result: Outcome) -> Finding | None:
    """Validation is worse than it was, or stands far above training, and does not fall any more."""
    curve = history.series("validation_cost")
    if len(curve) < 3:
        return None
    some = max(1, len(curve) // 6)
    lately, then = median(curve.values[-some:]), median(curve.values[-2 * some : -some])
    late = median(curve.values[-2 * some :])
    levels = [median(curve.values[i : i + 3]) for i in range(len(curve) - 2)]
    rising = (
        late > RISE * min(finite(levels), default=math.nan)
        and result.train_left < 0.75 * result.left
    )
    apart = result.end < GAP * result.validation and not lately < STILL * then
    if not result.held or not result.left > LEFT or not (rising or apart):
        return None
    if result.train_left > 0.5 or (_metric_holds(history, facts) and result.train_left > BY_HEART):
        return None
    at = curve.steps[curve.values.index(result.best)]
    return Finding(
        "overfitting",
        result.severity(0.93),
        f"The training loss is {result.end:.3g} and the validation cost {result.validation:.3g}; it "
        f"was best at step {at} ({result.best:.3g}).",
        f"Stop at step {at}, regularize (weight decay, dropout), or get more data.",
        at,
    )


def _metric_holds(history: History, facts: Facts) -> bool:
    """Whether a metric of its own is as good as it was at its best: costs also rise where a model
    grows more certain of the same errors."""
    metric = metric_missing(history, facts)
    if len(metric) < 3:
        return False
    levels = [median(metric[i : i + 3]) for i in range(len(metric) - 2)]
    return levels[-1] - min(levels) < WORSE * (metric[0] - min(levels))


def _shuffled(history: History, result: Outcome) -> Finding | None:
    if not math.isfinite(result.validation):
        return None
    if result.related:
        seen = _another_relation(history, result)
    else:
        seen = _no_relation(history, result) if result.unrelated else _by_heart(history, result)
    if seen is None:
        return None
    directness, evidence = seen
    return Finding(
        "shuffled_labels",
        result.severity(directness),
        evidence,
        "Check that labels belong to their inputs: look at some pairs.",
        0,
    )


def _no_relation(history: History, result: Outcome) -> tuple[float, str] | None:
    """Targets have nothing to do with inputs, and validation learns nothing."""
    bound = NOTHING if result.indices else NOTHING_OF_ANOTHER
    if result.well or not max(result.left, result.train_left) > bound:
        return None
    return 0.72 if result.indices else 0.86, (
        f"Targets of inputs that are alike agree no more than by chance ({result.relation:.2g} standard "
        f"errors, {last(history, 'relation_examples'):.0f} examples), and validation stays at "
        f"{result.left:.0%} of a constant output's cost."
    )


def _another_relation(history: History, result: Outcome) -> tuple[float, str] | None:
    """Targets of training are learned, and wrong for validation from the first step on."""
    validation = history.series("validation_cost").values
    if not (result.train_left < 0.5 and result.left > 1 and result.best == validation[0]):
        return None
    return 0.94, (
        f"Training targets are learned ({result.train_left:.0%} of the loss is left), and validation "
        f"has been worse ever since the start ({result.before:.3g}, now {result.validation:.3g})."
    )


def _by_heart(history: History, result: Outcome) -> tuple[float, str] | None:
    """Training falls, by heart or not at all, and validation learns nothing, while steps are taken
    along gradients that are noise."""
    variance = _late_sum(history, "gradient_variance")
    noise = variance > NOISE * _late_sum(history, "true_gradient_norm_squared") and variance > 0
    losses = history.series("loss").values
    n = max(5, len(losses) // 8)
    nothing = NOTHING if math.isfinite(result.constant) else NOTHING_OF_ANOTHER
    learned = median(losses[-n:]) < 0.97 * median(losses[n : 2 * n])
    if result.learned or result.left < nothing or not (noise or learned):
        return None
    validation = history.series("validation_cost").values
    third = len(validation) // 3
    falls = median(validation[-third:]) < FALLS * median(validation[third:-third])
    if third < 1 or falls or result.train_left > 1.05:
        return None
    return 0.85 if learned else 0.75, (
        f"Validation stays at {result.left:.0%} of a constant output's cost (best "
        f"{result.best:.3g}, now {result.validation:.3g}) while the training loss went to "
        f"{result.end:.3g}; single examples' gradients disagree."
    )


def _late_sum(history: History, quantity: str) -> float:
    """Over the later half of the measurements."""
    values = history.series(quantity).values
    return sum(values[len(values) // 2 :])


def _underfitting(history: History, result: Outcome) -> Finding | None:
    """Nothing else in the way, and the training loss stands high where more is to be had: too little
    capacity, or too little time."""
    known = math.isfinite(result.constant)
    unrelated = result.unrelated and not result.indices
    if result.well or unrelated or not result.train_left > (UNFIT if known else NOTHING):
        return None
    better = result.attainable < BETTER * result.train_left
    if math.isfinite(result.attainable) and not (better or result.train_left > NOTHING):
        return None  # noise may be all that is left
    still = stands(history)
    return Finding(
        "underfitting",
        result.severity(0.7 if still else 0.6),
        f"The training loss {'stands' if still else 'still falls'} at {result.end:.3g}, "
        f"{result.train_left:.0%} of a constant output's"
        + (f"; a quick predictor leaves {result.attainable:.0%}." if better else "."),
        "Use a larger model, less regularization, or better features."
        if still
        else "Train longer; if that does not help, use a larger model.",
        0,
    )
