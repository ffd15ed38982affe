"""What a training run is asked to do, and what it reports: plain typed records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Trial:
    """One training to run: a procedure, its hyperparameters, a seed.

    The seed fixes initialization, order of examples and noise, whatever the procedure: trials of one
    seed are paired.

    Attributes:
        procedure: name of the `Procedure`; a plain optimizer's procedure is named like its rule.
        hyper: hyperparameters by name, the learning rate "lr" among them.
        seed: see above.
    """

    procedure: str
    hyper: Mapping[str, float]
    seed: int

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.hyper["lr"]


@dataclass(frozen=True)
class Point:
    """One evaluation of a run.

    Attributes:
        step: gradient steps taken so far.
        cost: mean training cost of the minibatches since the last point (at step 0: of the
            first minibatch). NaN or infinite where the run diverged.
        validation_cost: the recipe's cost on the validation data.
        validation_metric: the recipe's metric on the validation data.
    """

    step: int
    cost: float
    validation_cost: float
    validation_metric: float

    @property
    def finite(self) -> bool:
        """Whether the run was still healthy here."""
        return all(map(math.isfinite, (self.cost, self.validation_cost, self.validation_metric)))


@dataclass(frozen=True)
class Run:
    """What came of a trial so far.

    Attributes:
        trial: what was asked for.
        curve: evaluations in order of steps, the first at step 0.
        test_metric: the metric on the test data; None until it is asked for, once, at the end.
    """

    trial: Trial
    curve: tuple[Point, ...] = field(default=())
    test_metric: float | None = None

    @property
    def diverged_at(self) -> int | None:
        """The first evaluated step at which a number was NaN or infinite; None for a healthy run."""
        return next((point.step for point in self.curve if not point.finite), None)
