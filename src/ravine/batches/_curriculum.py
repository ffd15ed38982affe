"""Curriculum: easy examples first, harder ones as the epochs pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ravine.batches._order import Column, Order, insist_on_length
from ravine.errors import SettingError
from ravine.seeds import generator

Pacing = Callable[[int], float]
"""epoch, from 0 -> the share of the easiest examples that it draws from, in (0, 1]."""


def _insist_on_share(name: str, share: float) -> None:
    if not 0 < share <= 1:
        raise SettingError(f"{name}={share!r}; expected a share of the examples, above 0, up to 1")


def _insist_on_epochs(name: str, epochs: int) -> None:
    if not isinstance(epochs, int) or epochs < 1:
        raise SettingError(f"{name}={epochs!r}; expected a whole number of epochs from 1 on")


@final
@dataclass(frozen=True)
class ExponentialPacing:
    """The share grows by a factor every few epochs: min(1, start · growth^⌊epoch / every⌋).

    growth = 1 / start is the single step of Bengio et al. (2009): the easiest examples for
    `every` epochs, then all.

    Attributes:
        start: the share in the first epoch, in (0, 1].
        growth: the factor, above 1.
        every: epochs between two steps, from 1.

    Source: "fixed exponential pacing" of Hacohen & Weinshall, "On The Power of Curriculum
        Learning in Training Deep Networks", ICML 2019; there by minibatches, here by epochs.
    """

    start: float = 0.1
    growth: float = 2.0
    every: int = 1

    def __post_init__(self) -> None:
        _insist_on_share("start", self.start)
        if not self.growth > 1:
            raise SettingError(f"growth={self.growth!r}; expected a factor above 1, e.g. 2.0")
        _insist_on_epochs("every", self.every)

    def __call__(self, epoch: int) -> float:
        """The share of the easiest examples in an epoch."""
        share = self.start
        for _ in range(epoch // self.every):  # not a power: it would overflow in late epochs
            if share >= 1:
                break
            share *= self.growth
        return min(1.0, share)


@final
@dataclass(frozen=True)
class LinearPacing:
    """The share grows in a straight line: min(1, start + (1 - start) epoch / epochs).

    Attributes:
        start: the share in the first epoch, in (0, 1].
        epochs: the epoch, from 1 on, at which all examples take part.
    """

    start: float = 0.1
    epochs: int = 10

    def __post_init__(self) -> None:
        _insist_on_share("start", self.start)
        _insist_on_epochs("epochs", self.epochs)

    def __call__(self, epoch: int) -> float:
        """The share of the easiest examples in an epoch."""
        return min(1.0, self.start + (1 - self.start) * epoch / self.epochs)


def curriculum(scores: Tensor | Sequence[float], pacing: Pacing = ExponentialPacing()) -> Order:
    """Easy to hard: each epoch draws from the easiest examples, more of them as epochs pass.

    An epoch still has [examples] indices. It draws from the k = round(share · examples), at least
    one, examples of the lowest scores (of equal scores the first stored): permutations of these,
    each drawn anew, one after another, until the epoch is full. Each of the k is so seen
    ⌊examples / k⌋ or ⌈examples / k⌉ times.

    Args:
        scores: difficulty of each example, [examples]; low is easy. `by_loss` makes them from a
            model.
        pacing: epoch -> share of the easiest examples, in (0, 1].

    Raises:
        SettingError: scores that are no numbers or hold NaN, or of another length than the data; a
            share outside of (0, 1].

    Sources: Bengio et al., "Curriculum Learning", ICML 2009; Hacohen & Weinshall 2019,
        algorithm 1.
    """
    difficulty = _numbers(scores)
    if difficulty.ndim != 1 or difficulty.numel() == 0:
        raise SettingError(
            f"curriculum scores have shape {list(difficulty.shape)}; "
            "expected one number per example, [examples]"
        )
    missing = int(difficulty.isnan().sum())
    if missing:
        raise SettingError(
            f"curriculum scores hold {missing} NaN of {len(difficulty)}; "
            "expected a number for each example, low where it is easy"
        )
    return _Curriculum(Column(difficulty.argsort(stable=True)), pacing)


def _numbers(scores: Tensor | Sequence[float]) -> Tensor:
    try:
        return torch.as_tensor(scores).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise SettingError(
            f"curriculum scores cannot be read as numbers ({error}); "
            "expected one number per example, e.g. [0.3, 1.2, 0.7]"
        ) from error


@final
@dataclass(frozen=True)
class _Curriculum(Order):
    easiest: Column
    pacing: Pacing
    name = "curriculum"

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        insist_on_length(self.easiest, examples, self.name, "scores")
        share = self.pacing(epoch)
        _insist_on_share(f"the pacing's share of epoch {epoch}", share)
        pool = max(1, round(share * examples))
        rng = generator(seed, "order", epoch)
        passes = -(-examples // pool)
        drawn = torch.cat([torch.randperm(pool, generator=rng) for _ in range(passes)])
        return self.easiest.numbers[drawn[:examples]]
