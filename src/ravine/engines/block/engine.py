"""The fast engine: one call of a kernel for all small parameters, and one for every large one."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ravine.engines.block.blocks import Arenas, Block, make_blocks, publish
from ravine.engines.graphs.functions import Names, summing, updating
from ravine.engines.graphs.kernel import Kernel, make_kernel
from ravine.engines.graphs.parts import Function, take_apart
from ravine.engines.shards import summed
from ravine.rules import Granularity, Hyper, Rule, State, at_param
from ravine.rules._rule import Summand, Update

LARGE = 2**20
"""Elements in a block from which on a matrix rule is compiled."""

EXAMPLE = 1_000_003
"""Elements of the blocks that kernels are compiled with: enough for loops to be spread over threads,
and equal to no other size, which would be taken for the same one."""

KERNELS: WeakKeyDictionary[Update | Summand, dict[Any, Kernel]] = WeakKeyDictionary()
"""Kernels by function, and by what they were traced for."""


class BlockEngine:
    """Steps parameters under one rule, block by block.

    Parameters may rest at some steps. Blocks are cut where only some of their parameters take a
    step, so that all parameters of a block have taken the same ones.

    Args:
        rule: the rule; it takes its gradient at the parameter (see `transforms.at_probe`).
        store: parameter -> its state. Kept up to date: entries become views of the blocks'.
        compiled: compile kernels, else run their graphs as they are. Of matrix rules only those on
            large parameters are compiled, as each shape takes seconds, and none whose time goes into
            products and decompositions of matrices.
        counts_on_device: whether counts lie beside the parameters; a step then never waits for a
            GPU, and can be captured in a CUDA graph.
    """

    def __init__(
        self,
        rule: Rule,
        store: MutableMapping[Tensor, State],
        *,
        compiled: bool,
        counts_on_device: bool = False,
    ):
        assert rule.probe is at_param
        self.rule = rule
        self._store = store
        self._compiled = compiled
        self._counts_on_device = counts_on_device
        self._arenas = Arenas()
        self._blocks: list[Block] = []
        self._params: list[Tensor] = []
        self._rounds: list[list[_Turn]] = []
        self._states: list[State] = []
        self._shown: list[Tensor] = []

    @torch.no_grad()
    def total(self, name: str, grads: Sequence[Tensor], hyper: Hyper) -> Tensor:
        """One of the rule's sums, over the parameters that take the step, 0-D.

        Args:
            name: one of `rule.totals`.
            grads: as for `step`.
            hyper: 0-D tensors, the totals that come before this one among them.
        """
        summand, parts = self.rule.totals[name], []
        for turns in self._rounds:
            first = turns[0][0]
            kernel = self._kernel(summand, summing, first, hyper)
            scalars = kernel.prologue(*first.counts.values(), *hyper.values())
            for block, places in turns:
                weights = block.home.open()
                gradient = block.home.gradients([grads[i] for i in places])
                (part,) = kernel.body(weights, gradient, *block.state.values(), *scalars)
                parts.append(summed(part, block.home.params[0]))
        return torch.stack([part.to(hyper["lr"].device) for part in parts]).sum()

    @torch.no_grad()
    def step(self, grads: Sequence[Tensor], hyper: Hyper) -> None:
        """One step, in place.

        Args:
            grads: contiguous gradients of the parameters that were arranged, in their order.
            hyper: 0-D tensors, the rule's totals among them.
        """
        for turns in self._rounds:
            first = turns[0][0]
            kernel = self._kernel(self.rule.update_for(first.counts), updating, first, hyper)
            scalars = kernel.prologue(*first.counts.values(), *hyper.values())
            for block, places in turns:
                weights = block.home.open()
                gradient = block.home.gradients([grads[i] for i in places])
                kernel.body(weights, gradient, *block.state.values(), *scalars)
                block.home.close()
        # So that autograd notices, as it does with torch's operators.
        increment_version(self._params)

    def release(self) -> None:
        """Forget where parameters and states are; they stay there."""
        self._blocks, self._params, self._rounds = [], [], []
        self._states, self._shown = [], []

    @torch.no_grad()
    def arrange(self, params: Sequence[Tensor]) -> None:
        """Say which parameters take the next step; quick if they are those of the last one."""
        same = len(params) == len(self._params) and all(map(is_, params, self._params))
        if not self._states_as_shown():
            self.release()
        elif same and all(block.home.intact() for block in self._blocks):
            return
        moving = {id(param) for param in params}
        self._cut_blocks(params, moving)
        self._part_counts(moving)
        self._params = list(params)
        place = {id(param): index for index, param in enumerate(params)}
        rounds: dict[int, list[_Turn]] = {}
        for block in self._blocks:
            if id(block.home.params[0]) in moving:
                turn = (block, [place[id(param)] for param in block.home.params])
                rounds.setdefault(id(block.counts), []).append(turn)
        self._rounds = list(rounds.values())
        held = [param for block in self._blocks for param in block.home.params]
        self._states = [self._store[param] for param in held if param in self._store]
        self._shown = list(chain.from_iterable(map(dict.values, self._states)))

    def _states_as_shown(self) -> bool:
        """Whether the store still holds the views of blocks that were put there."""
        now = list(chain.from_iterable(map(dict.values, self._states)))
        return len(now) == len(self._shown) and all(map(is_, now, self._shown))

    def _cut_blocks(self, params: Sequence[Tensor], moving: set[int]) -> None:
        """Make blocks anew where they are missing, disturbed, or only partly moving."""
        whole, loose = [], []
        for block in self._blocks:
            count = sum(id(param) in moving for param in block.home.params)
            if count in (0, len(block.home.params)) and block.home.intact():
                whole.append(block)
            else:
                loose += block.home.params
        known = {id(param) for block in self._blocks for param in block.home.params}
        loose += [param for param in params if id(param) not in known]
        self._blocks = whole
        for step_now in (True, False):
            some = [param for param in loose if (id(param) in moving) == step_now]
            self._blocks += make_blocks(
                self.rule, some, self._store, self._arenas, self._counts_on_device
            )

    def _part_counts(self, moving: set[int]) -> None:
        """Blocks that rest must not share their counts with blocks that move."""
        busy = {id(b.counts) for b in self._blocks if id(b.home.params[0]) in moving}
        for index, block in enumerate(self._blocks):
            if id(block.home.params[0]) not in moving and id(block.counts) in busy:
                own = {name: count.clone() for name, count in block.counts.items()}
                self._blocks[index] = replace(block, counts=own)
                publish(self.rule, self._blocks[index], self._store)

    def _kernel(
        self, function: Any, make: Callable[..., Function], block: Block, hyper: Hyper
    ) -> Kernel:
        """The kernel of a function for blocks like this one; kernels are shared by all engines."""
        kernels = KERNELS.setdefault(function, {})
        granularity = self.rule.granularity
        key = (granularity, block.kind, tuple(hyper), self._compiled)
        if key not in kernels:
            parts = take_apart(
                make(
                    function,
                    granularity,
                    Names(tuple(block.state), tuple(block.counts), tuple(hyper)),
                ),
                _examples(granularity, block),
                [count.clone() for count in block.counts.values()],
                list(hyper.values()),
                dynamic=granularity != "matrix",
            )
            large = block.home.shape.numel() >= LARGE and not parts.calls_libraries
            worth = granularity != "matrix" or large
            kernels[key] = make_kernel(parts, compiled=self._compiled and worth)
        return kernels[key]


_Turn = tuple[Block, list[int]]
"""A block, and the places of its parameters in the list that a step was given."""


def _examples(granularity: Granularity, block: Block) -> list[Tensor]:
    """Blocks to compile with: of any size, but for a matrix rule of the sizes to come."""
    weights = block.home.open()
    likes = [weights, weights, *block.state.values()]
    if granularity == "matrix":
        return [torch.empty_like(like) for like in likes]
    shape = (EXAMPLE,) if weights.ndim == 1 else (3, EXAMPLE)
    return [like.new_empty(shape) for like in likes]
