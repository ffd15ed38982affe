"""The contract of an update rule: the paper's algorithm box as pure functions of tensors.

This module imports torch only; every engine (eager, compiled, population) runs the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

State = dict[str, Tensor]
"""What a rule remembers between steps: entries of the parameter's shape, or 0-D (a step count)."""

Hyper = Mapping[str, Tensor]
"""Hyperparameters as tensors: 0-D for one run, [members, 1, ...] for a population.

0-D tensors may be float64 whatever the parameter is: they never widen a parameter that has an axis.
Tensors with axes do, so a population gives them, and its counts, in the parameter's dtype.
"""

Granularity = Literal["elementwise", "tensor", "matrix"]
"""What one update may look at: single elements, a whole parameter, or its matrix structure."""


def at_param(param: Tensor, state: State, hyper: Hyper) -> Tensor:
    """The parameter itself: the probe and the output of most rules."""
    return param


@dataclass(frozen=True, eq=False)
class Rule:
    """One optimization algorithm. Compared and hashed by identity, so that engines can cache by it.

    Attributes:
        name: the name it goes by on the command line.
        title: the name it goes by in print.
        defaults: hyperparameters and their default values; always has "lr".
        init: param -> state before the first step.
        update: (param, grad, state, hyper) -> (param, state). Out of place; no branch on tensor
            values; shapes and dtype of param and state are kept. Broadcasts: it gives each member
            of a leading axis what it would give that member alone if `granularity` is elementwise.
        probe: (param, state, hyper) -> the point at which the next gradient is taken.
        output: (param, state, hyper) -> the weights to evaluate.
        granularity: what one update may look at.
        source: paper and equation or algorithm number.
    """

    name: str
    title: str
    defaults: Mapping[str, float]
    init: Callable[[Tensor], State]
    update: Callable[[Tensor, Tensor, State, Hyper], tuple[Tensor, State]]
    source: str
    probe: Callable[[Tensor, State, Hyper], Tensor] = at_param
    output: Callable[[Tensor, State, Hyper], Tensor] = at_param
    granularity: Granularity = "elementwise"
