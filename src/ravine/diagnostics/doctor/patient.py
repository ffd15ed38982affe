"""A training that may be ill, and changes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

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
            5 the model or the cost. Of changes that do equally well the smallest is recommended.
        apply: the patient with the change.
        forks: whether a run can go on with it from any step; else it is trained from the start.
        grows: whether the model becomes larger, and its steps slower.
        wraps: whether it is put around what another change gives, as clipping is around a decay:
            its line comes before the optimizer's step.
    """

    name: str
    code: str
    size: int
    apply: Callable[[Patient], Patient]
    forks: bool = False
    grows: bool = False
    wraps: bool = False


Remedy = Callable[[Patient], Sequence[Change]]
"""What can be changed of a patient; nothing where it is so already, or cannot be."""


def both(first: Change, second: Change) -> Change:
    """Two changes at once; one that wraps is made last, whatever the order."""
    inner, outer = (second, first) if first.wraps else (first, second)
    return Change(
        f"{first.name} and {second.name}",
        f"{first.code}\n{second.code}",
        first.size + second.size,
        lambda patient: outer.apply(inner.apply(patient)),
        first.forks and second.forks,
        first.grows or second.grows,
        first.wraps or second.wraps,
    )


def built(patient: Patient) -> nn.Module:
    """An example of the patient's model; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return patient.recipe.model()
