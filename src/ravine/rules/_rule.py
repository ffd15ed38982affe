"""The contract of an update rule: the paper's algorithm box as pure functions of tensors.

This module imports torch only; every engine (eager, compiled, population) runs the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from ravine.rules._tuning import Span

State = dict[str, Tensor]
"""What a rule remembers of a parameter between steps, by name.

An elementwise or tensor rule remembers tensors of the parameter's shape, and 0-D counts that are the
same for all parameters that took the same steps. A matrix rule may remember any shapes, too.
"""

Hyper = Mapping[str, Tensor]
"""Hyperparameters as tensors: 0-D for one run, [members, 1] for a population.

0-D tensors may be float64 whatever the parameter is: they never widen a parameter that has an axis.
Tensors with axes do, so a population gives them, and its counts, in the parameter's dtype.
"""

Update = Callable[[Tensor, Tensor, State, Hyper], tuple[Tensor, State]]
"""(param, grad, state, hyper) -> (param, state)."""

Summand = Callable[[Tensor, Tensor, State, Hyper], Tensor]
"""(param, grad, state, hyper) -> a tensor of the parameter's shape, to be summed up."""

Granularity = Literal["elementwise", "tensor", "matrix"]
"""What one update may look at.

- "elementwise": every element by itself. The rule sees parameters of any shape: a flat bucket of
  many parameters, or [members, size] in a population.
- "tensor": a whole parameter, but not its shape. The rule sees [..., n], each row one parameter laid
  out flat, and reduces over the last axis, keeping it (`_parts.norm`).
- "matrix": a parameter in its own shape, one at a time. Engines stack parameters of one shape by
  `torch.vmap`, so: no writing in place, no branch on values. Branches on shapes are fine.
"""


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
        init: param -> state before the first step. Has no 0-D parameters to deal with: engines
            show a scalar as a vector of one element.
        update: (param, grad, state, hyper) -> (param, state). Out of place; no branch on tensor
            values; shapes and dtypes of param and state are kept.
        probe: (param, state, hyper) -> the point at which the next gradient is taken. Before the
            first step it is the parameter itself.
        output: (param, state, hyper) -> the weights to evaluate.
        granularity: what one update may look at.
        totals: sums over all parameters that `update` sees as hyperparameters of the
            same names: each maps (param, grad, state, hyper) to a tensor whose elements are summed.
            Taken in order: a summand sees the totals before it among the hyperparameters.
        choose: for a rule whose steps are not all alike (a preconditioner renewed every tenth step):
            state -> the update of this step, one of a few fixed functions. It is called outside the
            graph, may read 0-D entries of the state with `int`, and sees nothing else.
        source: paper and equation or algorithm number.
        tunable: where the hyperparameters worth tuning are searched, by name. The learning rate is
            always searched, around its default.
    """

    name: str
    title: str
    defaults: Mapping[str, float]
    init: Callable[[Tensor], State]
    update: Update
    source: str
    probe: Callable[[Tensor, State, Hyper], Tensor] = at_param
    output: Callable[[Tensor, State, Hyper], Tensor] = at_param
    granularity: Granularity = "elementwise"
    totals: Mapping[str, Summand] = field(default_factory=dict)
    choose: Callable[[State], Update] | None = None
    tunable: Mapping[str, Span] = field(default_factory=dict)

    def update_for(self, state: State) -> Update:
        """The update of the next step from this state; reads 0-D entries on the host."""
        return self.update if self.choose is None else self.choose(state)
