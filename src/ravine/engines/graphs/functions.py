"""Updates and summands as functions of tensors in a fixed order, to be traced."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.engines.graphs.parts import Function, Results, Tensors
from ravine.rules import Granularity, State
from ravine.rules._rule import Summand, Update


@dataclass(frozen=True)
class Names:
    """What the tensors are called.

    Attributes:
        entries: state entries with axes.
        counts: 0-D state entries.
        hyper: hyperparameters.
    """

    entries: tuple[str, ...]
    counts: tuple[str, ...]
    hyper: tuple[str, ...]


def updating(update: Update, granularity: Granularity, names: Names) -> Function:
    """An update: new parameters, states and counts."""

    def function(blocks: Tensors, counts: Tensors, hyper: Tensors) -> Results:
        known = dict(zip(names.counts, counts, strict=True))
        settings = dict(zip(names.hyper, hyper, strict=True))

        def one(param: Tensor, grad: Tensor, state: State) -> tuple[list[Tensor], list[Tensor]]:
            param, new = update(param, grad, {**state, **known}, settings)
            return [param, *(new[n] for n in names.entries)], [new[n] for n in names.counts]

        if granularity == "matrix":
            one = torch.vmap(one, out_dims=(0, None))  # type: ignore[arg-type]
        param, grad, *state = blocks
        (new_param, *new_state), new_counts = one(
            param, grad, dict(zip(names.entries, state, strict=True))
        )
        return [new_param, None, *new_state], new_counts, []

    return function


def terms(summand: Summand, granularity: Granularity, names: Names) -> Function:
    """A summand: its terms, as the only result."""

    def function(blocks: Tensors, counts: Tensors, hyper: Tensors) -> Results:
        known = dict(zip(names.counts, counts, strict=True))
        settings = dict(zip(names.hyper, hyper, strict=True))

        def one(param: Tensor, grad: Tensor, state: State) -> Tensor:
            return summand(param, grad, {**state, **known}, settings)

        if granularity == "matrix":
            one = torch.vmap(one)
        param, grad, *state = blocks
        found = one(param, grad, dict(zip(names.entries, state, strict=True)))
        return [None] * len(blocks), counts, [found]

    return function


def summing(summand: Summand, granularity: Granularity, names: Names) -> Function:
    """A summand: the sum of its terms, in at least float32, as the only result."""
    found = terms(summand, granularity, names)

    def function(blocks: Tensors, counts: Tensors, hyper: Tensors) -> Results:
        unchanged, same, (term,) = found(blocks, counts, hyper)
        wide = torch.promote_types(term.dtype, torch.float32)
        return unchanged, same, [term.sum(dtype=wide)]

    return function
