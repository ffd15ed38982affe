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

CHANCE = 3.0
"""Standard errors of chance from which on targets are related to inputs. Shuffled: at most 2; related
ones: at least 3.9, nearly all above 10."""

PER_CLASS = 3
"""Examples a class in the minibatch from which on its own shares of classes say what a constant
output would lose; with fewer that loss comes out too small, and 0 for one example."""


@dataclass(frozen=True)
class Outcome:
    """Losses, in the cost's units; NaN where unknown.

    Attributes:
        steps: gradient steps with a loss.
        start, end: of training, medians of the first and of the last fifth (at least 5 steps).
        constant: of the best constant output, if it can be known.
        validation: what validation costs at the end; best: at best; before: before training.
        left, train_left: share of the constant's loss that is left, in validation (in training if there
            is none), and in training; where that is unknown, of the first losses, of the smaller of
            `start` and `before`.
        metric_left: the metric at the end over that at the start, for one that is minimized; of one
            that is maximized and at most 1, such as an accuracy, what is missing to 1 over that.
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
    relation: float = math.nan
    attainable: float = math.nan

    @property
    def well(self) -> bool:
        """Whether it trains well: little of the loss is left, and the metric came with it."""
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
        return self.relation <= CHANCE

    def severity(self, directness: float) -> float:
        """How bad a finding is: what it costs, times how directly it was seen (1: a cause that is
        certain; 0.6: a mere symptom). Above 0.9 nothing is learned."""
        cost = min(1.0, self.left) if math.isfinite(self.left) else 1.0
        return directness * (0.5 + 0.5 * cost)


def outcome(history: History, facts: Facts) -> Outcome:
    """The outcome so far."""
    losses = history.series("loss").values
    some = max(5, len(losses) // 5)
    tail = losses[-some:]
    end = median(tail) if len(finite(tail)) > len(tail) / 2 else math.nan
    validation = history.series("validation_cost").values
    now = _now(validation)
    start, before = median(losses[:5]), validation[0] if validation else math.nan
    constant = _constant(history, facts)
    reference = constant if constant > 0 else _least(start, before)
    train_left = _over(end, reference)
    left = _over(now, reference) if validation else train_left
    return Outcome(
        len(losses),
        start,
        end,
        constant,
        now,
        min(finite(validation), default=math.nan),
        before,
        left,
        train_left,
        _metric_left(history, facts),
        last(history, "relation"),
        last(history, "probe_left") ** (0.5 if always(history, "cost_is_robust") else 1.0),
    )


def _constant(history: History, facts: Facts) -> float:
    classes, value = usual(history, "target_classes"), usual(history, "loss_of_a_constant")
    examples = math.inf if facts.batch_size is None else facts.batch_size
    few = examples < PER_CLASS * classes if math.isfinite(classes) else examples < 10
    return math.nan if few else value


def _now(validation: Sequence[float]) -> float:
    """Median of the last three evaluations: small data and batch norms make them jump."""
    return median(validation[-3:]) if validation and math.isfinite(validation[-1]) else math.nan


def _metric_left(history: History, facts: Facts) -> float:
    metric = finite(history.series("validation_metric").values)
    if metric == finite(history.series("validation_cost").values):
        return math.nan  # it says nothing of its own
    if len(metric) < 2 or (facts.maximize and max(metric) > 1):
        return math.nan
    missing = [1 - value for value in metric] if facts.maximize else metric
    return _over(_now(missing), missing[0])


def _least(*values: float) -> float:
    return min(finite(values), default=math.nan)


def _over(end: float, reference: float) -> float:
    """End over reference; infinite if the run has no end, NaN if there is nothing to compare with."""
    if not reference > 0:
        return math.nan
    return end / reference if math.isfinite(end) else math.inf
