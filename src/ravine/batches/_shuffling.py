"""Orders that need nothing but the number of examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ravine.batches._order import Order, ended
from ravine.seeds import generator


def shuffled() -> Order:
    """A permutation drawn anew every epoch: sampling without replacement."""
    return _Shuffled()


def shuffled_once() -> Order:
    """One permutation for all epochs: the one that `shuffled` draws for the first epoch.

    What shuffling the data and storing them in shuffled fashion does, as for data too large to
    shuffle again.
    """
    return _ShuffledOnce()


def stored() -> Order:
    """The order in which the data are stored, every epoch."""
    return _Stored()


def with_replacement() -> Order:
    """Simple random sampling: every index is drawn uniformly, whatever was drawn before.

    An epoch of n draws leaves an example out with probability (1 - 1/n)ⁿ ≈ 1/e.
    """
    return _WithReplacement()


def stream() -> Order:
    """Each example once, as stored: online learning, in which no example is seen again.

    Raises:
        SettingError: at the second epoch, when the stream has ended.
    """
    return _Stream()


@final
@dataclass(frozen=True)
class _Shuffled(Order):
    name = "shuffled"

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        return torch.randperm(examples, generator=generator(seed, "order", epoch))


@final
@dataclass(frozen=True)
class _ShuffledOnce(Order):
    name = "shuffled_once"

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        return _Shuffled().epoch(seed, 0, examples)


@final
@dataclass(frozen=True)
class _Stored(Order):
    name = "stored"

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        return torch.arange(examples)


@final
@dataclass(frozen=True)
class _WithReplacement(Order):
    name = "with_replacement"

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        return torch.randint(examples, (examples,), generator=generator(seed, "order", epoch))


@final
@dataclass(frozen=True)
class _Stream(Order):
    name = "stream"
    epochs = 1

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        if epoch > 0:
            raise ended(examples)
        return torch.arange(examples)
