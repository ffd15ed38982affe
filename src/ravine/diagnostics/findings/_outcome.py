"""What a run has come to so far, against a model that ignores its inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.findings._readings import finite, median, usual
from ravine.diagnostics.history import History

WELL = 0.4
"""A run trains well if less than this share of the loss of a constant output is left. Of the 53
healthy runs that thresholds were set on, over three seeds, one left 0.36 to 0.41 (labels with noise,
where no model does better), three 0.21 to 0.31, the others less."""

HELD = 0.25
"""A run whose loss is above this share can be held up on the rest of its way; what does is in its
readings, while a healthy run above it (labels with noise) has no such cause."""

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
        metric_left: the metric at the end over that at the start, for one that is minimized.
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

    @property
    def well(self) -> bool:
        """Whether it trains well: little of the loss is left, and the metric came with it."""
        return self.left < WELL and not self.metric_left > 0.6

    @property
    def held(self) -> bool:
        """Whether so much of the loss is left that something may hold the run up."""
        return not self.well or self.left > HELD

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
    start, before = median(losses[:5]), validation[0] if validation else math.nan
    constant = _constant(history, facts)
    reference = constant if constant > 0 else _least(start, before)
    train_left = _over(end, reference)
    left = _over(validation[-1], reference) if validation else train_left
    return Outcome(
        len(losses),
        start,
        end,
        constant,
        validation[-1] if validation else math.nan,
        min(finite(validation), default=math.nan),
        before,
        left,
        train_left,
        _metric_left(history, facts),
    )


def _constant(history: History, facts: Facts) -> float:
    classes, value = usual(history, "target_classes"), usual(history, "loss_of_a_constant")
    examples = math.inf if facts.batch_size is None else facts.batch_size
    few = examples < PER_CLASS * classes if math.isfinite(classes) else examples < 10
    return math.nan if few else value


def _metric_left(history: History, facts: Facts) -> float:
    metric = finite(history.series("validation_metric").values)
    if len(metric) < 2 or facts.maximize:
        return math.nan
    return _over(metric[-1], metric[0])


def _least(*values: float) -> float:
    return min(finite(values), default=math.nan)


def _over(end: float, reference: float) -> float:
    """End over reference; infinite if the run has no end, NaN if there is nothing to compare with."""
    if not reference > 0:
        return math.nan
    return end / reference if math.isfinite(end) else math.inf
