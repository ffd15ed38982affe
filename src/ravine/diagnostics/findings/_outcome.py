"""What a run has come to so far, against a model that ignores its inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.findings._readings import always, finite, last, median, usual
from ravine.diagnostics.history import History

WELL = 0.4
"""A run trains well if less than this share of the loss of a constant output is left. Of the 53
healthy runs that thresholds were set on, over three seeds, one left 0.36 to 0.41 (labels with noise,
where no model does better), three 0.21 to 0.31, the others less."""

HELD = 0.25
"""A run whose loss is above this share can be held up on the rest of its way; what does is in its
readings, while a healthy run above it (labels with noise) has no such cause."""

FINE = 0.12
"""A run whose metric is below this share of what it was before training trains well, whatever the
costs say: cross-entropy of a validation that is sure of its few errors is large. Healthy: 0.08 where
the cost says otherwise; faults: at least 0.17."""

REACH, FURTHER = 0.08, 4.0
"""A run is held up, too, if it leaves more than this share of the loss, and so many times what a quick
predictor leaves. Healthy: 0.05, or 1.5 times; held up: 0.12 and 0.18, where the predictor leaves 0.00
and 0.03."""

NOWHERE = 1.2
"""Training that costs more than a constant output comes to nothing, though validation may have targets
that are smaller. Healthy: at most 1.0, where nearly all of the targets is noise."""

CHANCE = 3.0
"""Standard errors of chance from which on targets are related to inputs. Shuffled: at most 2; related
ones: at least 3.9, nearly all above 10."""

LEARNED, BETTER = 0.9, 0.8
"""Validation at its best over a constant output, and a metric over what it was before training, or over
the error of guesses; of the targets of other inputs they stay at 1."""
EVEN = 0.97
"""Classes' entropy over the logarithm of their number from which on a metric gets no better than that by
saying always the same: 60 to 40 has 0.97. In minibatches of n it is (classes - 1)/2n too small."""

PER_CLASS = 3
"""Examples a class in the minibatch from which on its own shares of classes say what a constant
output would lose; with fewer that loss comes out too small, and 0 for one example."""


@dataclass(frozen=True)
class Outcome:
    """Losses, in the cost's units; NaN where unknown.

    Attributes:
        steps: gradient steps so far.
        start, end: of training, medians of the first and of the last fifth (at least 5 steps).
        constant: of the best constant output, if it can be known.
        validation: what validation costs at the end; best: at best; before: before training.
        left, train_left: share of the constant's loss that is left, in validation (in training if there
            is none), and in training; where that is unknown, of the first losses, of the smaller of
            `start` and `before`. Both less what the targets themselves lose, as shares do.
        metric_left: the metric at the end over that at the start, for one that is minimized; of one
            that is maximized and at most 1, such as an accuracy, what is missing to 1 over that.
        learned: whether validation of classes was ever far below a constant output, in its cost, or in
            its metric where classes are equally frequent; of other targets, those of training may be
            noisier.
        indices: whether inputs are indices. Of these quick predictors see what each stands for, not
            which go together, or in which order.
        relation: how far targets agree with inputs beyond chance, in its standard errors.
        attainable: share of a constant's loss that a quick predictor leaves, from inputs alone: of its
            squared error, or the root of that if the cost grows with the error itself.
    """

    steps: int
    start: float
    end: float
    constant: float
    validation: float
    best: float
    before: float
    left: float
    train_left: float
    metric_left: float
    learned: bool = False
    indices: bool = False
    relation: float = math.nan
    attainable: float = math.nan

    @property
    def well(self) -> bool:
        """Whether it trains well: little of the loss is left, and the metric came with it."""
        if self.train_left > NOWHERE:
            return False
        return self.fine or (self.left < WELL and not self.metric_left > 0.6 and not self.behind)

    @property
    def held(self) -> bool:
        """Whether so much of the loss is left that something may hold the run up."""
        return not self.well or (self.left > HELD and not self.fine)

    @property
    def behind(self) -> bool:
        """Whether a quick predictor does far better."""
        return self.left > REACH and self.left > FURTHER * self.attainable

    @property
    def fine(self) -> bool:
        """Whether the metric alone says that it trains well."""
        return self.metric_left < FINE

    @property
    def related(self) -> bool:
        """Whether it is known that targets have to do with inputs."""
        return self.relation > CHANCE

    @property
    def unrelated(self) -> bool:
        """Whether nothing shows that they do."""
        return self.relation <= CHANCE and not self.learned

    def severity(self, directness: float) -> float:
        """How bad a finding is: what it costs, times how directly it was seen (1: a cause that is
        certain; 0.6: a mere symptom). Above 0.9 nothing is learned."""
        cost = min(1.0, self.left) if math.isfinite(self.left) else 1.0
        return directness * (0.5 + 0.5 * cost)


def outcome(history: History, facts: Facts) -> Outcome:
    """The outcome so far."""
    losses, taken = history.series("loss").values, history.series("loss").steps
    some = max(5, len(losses) // 5)
    tail = losses[-some:]
    end = median(tail) if len(finite(tail)) > len(tail) / 2 else math.nan
    validation = history.series("validation_cost").values
    now = _now(validation)
    start, before = median(losses[:5]), validation[0] if validation else math.nan
    constant, least = _constant(history, facts), usual(history, "least_loss")
    best = min(finite(validation), default=math.nan)
    reference = constant if constant > 0 else _smallest(start, before)
    least = least if constant > least else 0.0
    train_left = _over(end - least, reference - least)
    left = _over(now - least, reference - least) if validation else train_left
    return Outcome(
        taken[-1] + 1 if taken else 0,
        start,
        end,
        constant,
        now,
        best,
        before,
        left,
        train_left,
        _metric_left(history, facts),
        _of_classes(history) and (best < LEARNED * constant or _metric_learned(history, facts)),
        last(history, "relation_of_indices") == 1,
        last(history, "relation"),
        last(history, "probe_left") ** (0.5 if always(history, "cost_is_robust") else 1.0),
    )


def _of_classes(history: History) -> bool:
    kinds = ("classes", "shares", "logits")
    return any(always(history, f"cost_is_likelihood_of_{kind}") for kind in kinds)


def _metric_learned(history: History, facts: Facts) -> bool:
    missing, log_classes = metric_missing(history, facts), usual(history, "loss_of_zeros")
    if not (usual(history, "loss_of_a_constant") > EVEN * log_classes and missing):
        return False
    return _now(missing) < BETTER * min(missing[0], 1 - math.exp(-log_classes))


def _constant(history: History, facts: Facts) -> float:
    classes, value = usual(history, "target_classes"), usual(history, "loss_of_a_constant")
    examples = math.inf if facts.batch_size is None else facts.batch_size
    few = examples < PER_CLASS * classes if math.isfinite(classes) else examples < 10
    return math.nan if few else value


def _now(validation: Sequence[float]) -> float:
    """Median of the last three evaluations: small data and batch norms make them jump."""
    return median(validation[-3:]) if validation and math.isfinite(validation[-1]) else math.nan


def metric_missing(history: History, facts: Facts) -> list[float]:
    """The validation metric, as what is missing to 1 where it is maximized; empty where it says nothing
    of its own."""
    metric = finite(history.series("validation_metric").values)
    if metric == finite(history.series("validation_cost").values):
        return []
    if facts.maximize:
        return [1 - value for value in metric] if max(metric, default=2.0) <= 1 else []
    return metric


def _metric_left(history: History, facts: Facts) -> float:
    missing = metric_missing(history, facts)
    return math.nan if len(missing) < 2 else _over(_now(missing), missing[0])


def _smallest(*values: float) -> float:
    return min(finite(values), default=math.nan)


def _over(end: float, reference: float) -> float:
    """End over reference; infinite if the run has no end, NaN if there is nothing to compare with."""
    if not reference > 0:
        return math.nan
    return end / reference if math.isfinite(end) else math.inf
