"""A training that may be ill, and changes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ravine.recipes import Recipe
from ravine.training.procedure import Procedure


@dataclass(frozen=True)
class Patient:
    """A training: what, how, and how fast.

    Attributes:
        recipe: data, cost and model.
        procedure: rule, start, schedules and order of examples.
        lr: learning rate.
    """

    recipe: Recipe
    procedure: Procedure
    lr: float


@dataclass(frozen=True)
class Change:
    """A change to try.

    Attributes:
        name: what it is, in a few words.
        code: the line to edit, as one would type it.
        size: how much it changes: 1 a number, 2 the procedure's parts, 3 the optimizer, 4 the data,
            5 the model or the cost. Of changes that work the smallest is recommended.
        apply: the patient with the change.
    """

    name: str
    code: str
    size: int
    apply: Callable[[Patient], Patient]
