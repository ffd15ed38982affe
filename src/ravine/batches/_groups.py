"""Orders of examples that come in groups, as five blood samples of each patient do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ravine.batches._classes import by_falling_size, class_by_class, numbered, turned
from ravine.batches._order import Column, Order, insist_on_length
from ravine.seeds import generator


def grouped(groups: Tensor | Sequence[object]) -> Order:
    """Whole groups stay together; the groups are shuffled, and the samples within each.

    Samples of one group resemble each other, so a minibatch holds fewer independent examples
    than its size says: `spread` does the opposite.

    Args:
        groups: the group of each example, [examples]: whole numbers or words.

    Raises:
        SettingError: groups that are neither; an epoch of another number of examples.
    """
    return _Grouped(Column(numbered(groups, "grouped(groups): groups")))


def spread(groups: Tensor | Sequence[object]) -> Order:
    """Samples of one group stand as far apart as possible, so that minibatches are nearly independent.

    With n examples, at most n_max of one group, two samples of a group are at least ⌊n / n_max⌋
    places apart, also around the end of the epoch; no order does better, since the n_max
    distances of the largest group sum to n. A minibatch of up to ⌊n / n_max⌋ examples so holds no
    two of one group (with groups of equal size: up to as many examples as there are groups).

    The groups, largest first and equal ones in random order, are dealt sample by sample to n_max
    rounds in turn, and the rounds are played one after another from a random place on.

    Args:
        groups: the group of each example, [examples]: whole numbers or words.

    Raises:
        SettingError: groups that are neither; an epoch of another number of examples.
    """
    return _Spread(Column(numbered(groups, "spread(groups): groups")))


@final
@dataclass(frozen=True)
class _Grouped(Order):
    groups: Column
    name = "grouped"

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        insist_on_length(self.groups, examples, self.name, "groups")
        rng = generator(seed, "order", epoch)
        codes = self.groups.numbers
        rank = torch.randperm(int(codes.max()) + 1, generator=rng)
        return class_by_class(codes, rank, rng)


@final
@dataclass(frozen=True)
class _Spread(Order):
    groups: Column
    name = "spread"

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        insist_on_length(self.groups, examples, self.name, "groups")
        rng = generator(seed, "order", epoch)
        codes = self.groups.numbers
        samples = class_by_class(codes, by_falling_size(codes, rng), rng)
        rounds = torch.arange(examples) % int(codes.bincount().max())
        return turned(samples[rounds.argsort(stable=True)], rng)
