"""Feeds of data that do not fit into memory, read by torch's DataLoader and its workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ravine.batches._feed import Feed
from ravine.batches._minibatches import Batches, Last, per_epoch
from ravine.batches._order import Order, ended
from ravine.batches._sampling import Minibatches
from ravine.errors import SettingError, insist_on_count
from ravine.seeds import generator

Pair = tuple[Tensor, Tensor]


@final
class Loaded(Feed):
    """Examples of a map-style Dataset, read as they are needed.

    One DataLoader serves all runs, so that there are `workers` processes however many runs there
    are; runs of one seed and equal order read their examples once. It is kept while steps follow
    each other; another step opens it anew. Held are one minibatch of each distinct run, and 8 bytes
    an example for its order; each of torch's workers prefetches two minibatches more.

    An example must be a function of its index: what a Dataset draws at random (augmentation) is
    not replayed when a run is resumed.

    Args:
        dataset: has a length and gives (input, target) pairs by index.
        orders: one order of examples per run.
        seeds: one seed per run.
        batch_size: examples in a minibatch.
        last: whether an epoch's last, smaller batch is dropped or kept.
        workers: processes that read; 0 reads in this one.
        device: where the examples are used.

    Raises:
        SettingError: the dataset has no items by index; sizes outside what is allowed; items that
            are not pairs of tensors or numbers; an order that has ended or does not fit.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        orders: Sequence[Order],
        seeds: Sequence[int],
        batch_size: int,
        last: Last = "drop",
        workers: int = 0,
        device: torch.device | str = "cpu",
    ):
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
            raise SettingError(
                f"{type(dataset).__name__} has no items by index; expected a map-style Dataset "
                "with __getitem__ and __len__; for a source without them: Streamed"
            )
        self._dataset = dataset
        self._batches = Batches(seeds, len(dataset), batch_size, "cpu", orders, last)
        self._reader = _Reader(workers, device)

    def at(self, step: int) -> Pair:
        """The minibatches of all runs at a gradient step."""
        end = self._batches.steps
        if end is not None and step >= end:
            self._batches.distinct_at(step)  # raises what says that the order has ended
        if step not in (self._reader.held, self._reader.following):
            steps = Minibatches(self._batches, step, None)
            self._reader.open(step, self._dataset, batch_sampler=steps)
        inputs, targets = self._reader.read_to(step)
        return self._by_run(inputs), self._by_run(targets)

    def close(self) -> None:
        """End the workers and let the examples go."""
        self._reader.close()

    def _by_run(self, together: Tensor) -> Tensor:
        """[distinct · n, ...] -> [runs, n, ...]."""
        distinct = self._batches.distinct
        return self._batches.by_run(together.reshape(distinct, -1, *together.shape[1:]))


@final
class Streamed(Feed):
    """Examples of an endless source: each is seen once, by all runs at the same step.

    A later step than the next is reached by skipping, an earlier one by beginning again: a
    resumed run sees what it would have seen, if the source gives the same examples every time it
    is begun. Held is one minibatch; each of torch's workers prefetches two more.

    Args:
        dataset: gives (input, target) pairs one after another. With two or more workers it must
            share itself between them (`torch.utils.data.get_worker_info`); the minibatches then
            come from the workers in turn.
        runs: number of runs.
        batch_size: examples in a minibatch.
        last: whether the last, smaller batch of a source that ends is dropped or kept.
        workers: processes that read; 0 reads in this one.
        device: where the examples are used.

    Raises:
        SettingError: the dataset is not an IterableDataset; sizes outside what is allowed; items
            that are not pairs of tensors or numbers; the source has ended.
    """

    def __init__(
        self,
        dataset: IterableDataset[Any],
        runs: int,
        batch_size: int,
        last: Last = "drop",
        workers: int = 0,
        device: torch.device | str = "cpu",
    ):
        if not isinstance(dataset, IterableDataset):
            raise SettingError(
                f"{type(dataset).__name__} is not a stream; expected a "
                "torch.utils.data.IterableDataset; for items by index: Loaded"
            )
        insist_on_count("runs", runs)
        per_epoch(1, batch_size, last)  # raises where these two are not allowed
        self._dataset = dataset
        self._runs = runs
        self._batching = {"batch_size": batch_size, "drop_last": last == "drop"}
        self._reader = _Reader(workers, device)

    def at(self, step: int) -> Pair:
        """The minibatch of all runs at a gradient step."""
        reader = self._reader
        if reader.following is None or (step < reader.following and step != reader.held):
            reader.open(0, self._dataset, **self._batching)
        inputs, targets = reader.read_to(step)
        return self._repeated(inputs), self._repeated(targets)

    def close(self) -> None:
        """End the workers and let the examples go."""
        self._reader.close()

    def _repeated(self, batch: Tensor) -> Tensor:
        """[n, ...] -> [runs, n, ...], one memory for all runs."""
        return batch.expand(self._runs, *batch.shape)


@final
class _Reader:
    """Reads the minibatches of a DataLoader one after another, and holds the last one.

    Attributes:
        held: the step of the minibatch that is held; None without one.
        following: the step that is read next; None while closed.
    """

    def __init__(self, workers: int, device: torch.device | str):
        if not isinstance(workers, int) or workers < 0:
            raise SettingError(f"workers={workers!r}; expected a whole number from 0 on")
        self._workers = workers
        self._device = torch.device(device)
        self._iterator: Iterator[Any] = iter(())
        self._pair: Pair | None = None
        self._examples = 0
        self.held: int | None = None
        self.following: int | None = None

    def open(self, step: int, dataset: Dataset[Any], **batching: Any) -> None:
        """Begin to read; the first minibatch is the one of `step`."""
        self.close()  # the old workers end before new ones begin
        loader = DataLoader(
            dataset,
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            # Else the loader draws a number of the global generator, and so changes the run.
            generator=generator("workers"),
            **batching,
        )
        self._iterator = iter(loader)
        self.following = step

    def read_to(self, step: int) -> Pair:
        """The minibatch of a step that is held or still to come; others on the way are let go."""
        pair = self._pair
        while pair is None or self.held != step:
            pair = self._pair = None  # one at a time
            pair = self._next()
        return pair

    def close(self) -> None:
        """Let the workers and the minibatch go."""
        self._iterator = iter(())  # torch ends the workers of an iterator that nobody holds
        self._pair = self.held = self.following = None
        self._examples = 0

    def _next(self) -> Pair:
        try:
            inputs, targets = _pair(next(self._iterator))
        except StopIteration:
            examples = self._examples
            self.close()
            raise ended(examples) from None
        except BaseException:
            self.close()
            raise
        self._examples += len(inputs)
        self._pair = (
            inputs.to(self._device, non_blocking=True),
            targets.to(self._device, non_blocking=True),
        )
        self.held = self.following
        self.following = 1 + (self.following or 0)
        return self._pair


def _pair(batch: Any) -> Pair:
    """Inputs and targets of a collated batch."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        inputs, targets = batch
        if isinstance(inputs, Tensor) and isinstance(targets, Tensor):
            return inputs, targets
    kind = type(batch).__name__
    if isinstance(batch, tuple | list):
        kind = f"{len(batch)} parts: {', '.join(type(part).__name__ for part in batch)}"
    raise SettingError(
        f"a minibatch of the dataset is {kind}; "
        "expected its items to be (input, target) pairs of tensors or numbers"
    )
