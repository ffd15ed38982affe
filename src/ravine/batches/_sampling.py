"""Minibatches for torch's DataLoader."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import final

from torch.utils.data import Sampler

from ravine.batches._minibatches import Batches, Last
from ravine.batches._order import Order
from ravine.errors import SettingError


def sampler(
    order: Order,
    examples: int,
    batch_size: int,
    seed: int,
    last: Last = "drop",
    start: int = 0,
    steps: int | None = None,
) -> Sampler[list[int]]:
    """A batch sampler that gives the very minibatches of `Batches`, from gradient step `start` on.

        DataLoader(dataset, batch_sampler=sampler(shuffled(), len(dataset), 32, seed=0), num_workers=2)

    A loader of it runs through all epochs. Every iteration begins at `start` again; to resume a
    training, make a sampler with the step at which it was left.

    Args:
        order: the order of examples.
        examples: number of training examples, len(dataset).
        batch_size: examples in a minibatch.
        seed: the run's seed.
        last: whether an epoch's last, smaller batch is dropped or kept.
        start: the first gradient step, from 0.
        steps: how many minibatches; None: until the order ends, which only `stream` does.

    `len()` is the number of minibatches; where there is no end it raises a TypeError, as torch
    expects of what has no length.

    Raises:
        SettingError: sizes outside what is allowed, or more steps than the order has.
    """
    return Minibatches(Batches([seed], examples, batch_size, "cpu", [order], last), start, steps)


@final
class Minibatches(Sampler[list[int]]):
    """The minibatches of all distinct runs, end to end in one list a step."""

    def __init__(self, batches: Batches, start: int, steps: int | None):
        for name, value in (("start", start), ("steps", steps)):
            if value is not None and (not isinstance(value, int) or value < 0):
                raise SettingError(f"{name}={value!r}; expected a whole number from 0 on")
        end = batches.steps
        if steps and end is not None and start + steps > end:
            batches.at(start + steps - 1)  # raises what says that the order has ended
        self._batches = batches
        self._start = start
        self._steps = max(0, end - start) if steps is None and end is not None else steps

    def __iter__(self) -> Iterator[list[int]]:
        for step in count(self._start):
            if self._steps is not None and step >= self._start + self._steps:
                return
            yield self._batches.distinct_at(step).flatten().tolist()

    def __len__(self) -> int:
        if self._steps is None:
            raise TypeError("an endless sampler has no len(): give it steps=...")
        return self._steps
