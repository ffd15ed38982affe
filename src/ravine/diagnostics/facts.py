"""What is known of a run besides its readings."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.recipes import Problem
from ravine.training.procedure import Procedure, pace_of


@dataclass(frozen=True)
class Facts:
    """Known before the first step.

    Attributes:
        steps: gradient steps planned; None: unknown.
        batch_size: examples in a minibatch; None: unknown.
        maximize: whether a larger validation metric is better.
        penalized: whether the training loss holds a penalty that the validation cost does not.
    """

    steps: int | None = None
    batch_size: int | None = None
    maximize: bool = False
    penalized: bool = False


def facts_of(problem: Problem, procedure: Procedure) -> Facts:
    """The facts that a recipe and a procedure state."""
    recipe, pace = problem.recipe, pace_of(problem, procedure)
    return Facts(pace.steps, pace.batch_size, recipe.maximize, recipe.penalty is not None)
