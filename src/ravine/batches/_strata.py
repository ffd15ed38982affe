"""Stratified order: every stretch of an epoch has the classes in proportion."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from ravine.batches._classes import by_falling_size, class_by_class, numbered, turned
from ravine.batches._order import Column, Order, insist_on_length
from ravine.seeds import generator


def stratified(labels: Tensor | Sequence[object]) -> Order:
    r"""Every minibatch has the classes in the proportions of the whole, whatever its size.

    With n examples, n_c of them of class c, and K ≥ 2 classes, any m successive examples of an
    epoch (also around its end) hold N of class c, where

        |N - m n_c/n| ≤ 2 - 1/(K-1),       and N = m n_c/n where that is whole for all classes.

    For most proportions of three or more classes no order has every stretch within 1 (Fraenkel's
    conjecture). Classes of one size take turns, so that N is m/K rounded up or down. Which example
    of a class comes when is random, and so are where the pattern begins and which of several
    classes of one size is which: every example may stand anywhere with the same probability.

    The first epoch computes the pattern, in 4 to 5 seconds for 10⁶ labels on one CPU core; a later one
    shuffles within the classes, in 1 second at most.

    Args:
        labels: one class per example, [examples] or [examples, 1]: whole numbers or words.

    Raises:
        SettingError: labels that are not classes (fractions, one-hot rows); an epoch of another
            number of examples.

    Source: Tijdeman, "The chairman assignment problem", Discrete Mathematics 32, 1980: from the
        start of the pattern on, each class is at most 1 - 1/(2K-2) from its share.
    """
    return _Stratified(Column(numbered(labels, "stratified(labels): labels")))


@final
@dataclass(frozen=True)
class _Stratified(Order):
    labels: Column
    name = "stratified"

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        insist_on_length(self.labels, examples, self.name, "labels")
        rng = generator(seed, "order", epoch)
        codes = self.labels.numbers
        members = class_by_class(codes, by_falling_size(codes, rng), rng)
        slots = turned(self._pattern, rng).argsort(stable=True)
        return torch.empty_like(members).index_copy_(0, slots, members)

    @cached_property
    def _pattern(self) -> Tensor:
        """The class at each place of an epoch, classes by falling size: int64 [examples]."""
        return _chairmen(self.labels.numbers.bincount().sort(descending=True).values)


def _chairmen(sizes: Tensor) -> Tensor:
    """Tijdeman's sequence: class c comes sizes[c] times, at each place near its share.

    Each member j of class c may come from the place on at which the share of the class has
    reached j + δ, and must come before it passes j + 1 - δ, with δ = 1/(2K-2). To take among
    those that may come the one that must come first meets all deadlines.

    Args:
        sizes: members of each class, all positive, int64 [classes].

    Returns:
        int64 [sizes.sum()].
    """
    count, parts = int(sizes.sum()), max(1, 2 * len(sizes) - 2)
    classes = torch.repeat_interleave(sizes)
    size = sizes[classes]
    member = torch.arange(count) - (sizes.cumsum(0) - sizes)[classes]
    first = _ceil_of_shares(member, size, count, parts)
    last = 1 - _ceil_of_shares(-member - 1, size, count, parts)
    by_first = first.argsort(stable=True)
    waiting = torch.stack([first, last, classes], dim=1)[by_first].tolist()
    chosen: list[int] = []
    ready: list[tuple[int, int]] = []
    arrived = 0
    for place in range(1, count + 1):
        while arrived < count and waiting[arrived][0] <= place:
            _, deadline, which = waiting[arrived]
            heapq.heappush(ready, (deadline, which))
            arrived += 1
        chosen.append(heapq.heappop(ready)[1])
    return torch.tensor(chosen)


def _ceil_of_shares(whole: Tensor, size: Tensor, count: int, parts: int) -> Tensor:
    """⌈(whole + 1/parts) count/size⌉ in whole numbers.

    `whole` apart, since whole · count · parts passes 2⁶³ from 3 million examples on.
    """
    quotient = (whole * count).div(size, rounding_mode="floor")
    rest = (whole * count).remainder(size)
    return quotient - (-(rest * parts + count)).div(parts * size, rounding_mode="floor")
