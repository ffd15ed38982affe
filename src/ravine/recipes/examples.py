"""Training examples, wherever they are: in memory, read from a Dataset as needed, or a stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, default_collate

from ravine.batches import Batches, Feed, InMemory, Last, Loaded, Order, Streamed
from ravine.errors import RecipeError

EXAMPLES_AT_ONCE = 2048
"""Evaluation looks at so many examples at a time, to bound its memory."""


class Examples(ABC):
    """What a training takes its minibatches from."""

    @property
    @abstractmethod
    def count(self) -> int | None:
        """Number of examples; None where nobody knows, as of a stream."""

    @abstractmethod
    def first(self, count: int) -> Split:
        """The first examples as stored, at most `count` of them."""

    @abstractmethod
    def feed(
        self, seeds: Sequence[int], orders: Sequence[Order], batch_size: int, last: Last
    ) -> Feed:
        """The minibatches of several runs side by side, one seed and one order each."""


@dataclass(frozen=True)
class Split(Examples):
    """Examples held in memory: inputs [examples, ...] and targets [examples, ...]."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def count(self) -> int:
        """Number of examples."""
        return len(self)

    def first(self, count: int) -> Split:
        """The first examples."""
        return Split(self.inputs[:count], self.targets[:count])

    def feed(
        self, seeds: Sequence[int], orders: Sequence[Order], batch_size: int, last: Last
    ) -> Feed:
        """Minibatches by index."""
        device = self.inputs.device
        batches = Batches(list(seeds), len(self), batch_size, device, orders, last)
        return InMemory(self.inputs, self.targets, batches)


@dataclass(frozen=True)
class Lazy(Examples):
    """Examples of a map-style Dataset, read while training.

    Attributes:
        dataset: of (input, target) pairs.
        workers: processes that read; 0 reads in this one.
    """

    dataset: Dataset[Any]
    workers: int

    @property
    def count(self) -> int:
        """Number of examples."""
        return len(self.dataset)  # type: ignore[arg-type]

    def first(self, count: int) -> Split:
        """The first examples, read here."""
        indices = range(min(count, self.count))
        return _collated([self.dataset[i] for i in indices])

    def feed(
        self, seeds: Sequence[int], orders: Sequence[Order], batch_size: int, last: Last
    ) -> Feed:
        """Minibatches through DataLoaders."""
        return Loaded(self.dataset, orders, seeds, batch_size, last, self.workers)


@dataclass(frozen=True)
class Stream(Examples):
    """Examples of an iterable-style Dataset, each seen once, in the order in which they come.

    Every run sees the same ones: a stream has no order to choose.
    """

    dataset: IterableDataset[Any]
    workers: int

    @property
    def count(self) -> None:
        """Nobody knows."""
        return None

    def first(self, count: int) -> Split:
        """The first examples; the stream begins anew for training."""
        return _collated(list(islice(iter(self.dataset), count)))

    def feed(
        self, seeds: Sequence[int], orders: Sequence[Order], batch_size: int, last: Last
    ) -> Feed:
        """Minibatches as they come."""
        return Streamed(self.dataset, len(seeds), batch_size, last, self.workers)


def _collated(items: list[Any]) -> Split:
    if not items:
        raise RecipeError("training data are empty; expected at least one example")
    try:
        inputs, targets = default_collate(items)
    except Exception as error:
        raise RecipeError(
            f"the first training examples cannot be stacked ({error}); "
            "expected (input, target) pairs of tensors or numbers, all of one shape"
        ) from error
    return Split(inputs, targets)
