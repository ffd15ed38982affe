"""Every order on some data, and the data sets that feeds read."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import Value

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ravine import batches
from ravine.batches import Order

PERMUTING = ("shuffled", "shuffled_once", "stored", "stratified", "grouped", "spread")
"""Endless orders that see every example once an epoch."""


def orders(examples: int) -> dict[str, Order]:
    """All orders, with labels, groups and scores for so many examples."""
    random = np.random.default_rng(examples)
    return {
        "shuffled": batches.shuffled(),
        "shuffled_once": batches.shuffled_once(),
        "stored": batches.stored(),
        "with_replacement": batches.with_replacement(),
        "stratified": batches.stratified(torch.from_numpy(random.integers(0, 3, examples))),
        "grouped": batches.grouped(torch.from_numpy(random.integers(0, 5, examples))),
        "spread": batches.spread(torch.from_numpy(random.integers(0, 5, examples))),
        "curriculum": batches.curriculum(torch.from_numpy(random.normal(size=examples))),
        "stream": batches.stream(),
    }


class Counted(Dataset):
    """Examples made on demand, which counts in all processes how many were asked for."""

    def __init__(self, examples: int):
        self.examples = examples
        self.reads = Value("q", 0)

    def __len__(self) -> int:
        return self.examples

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        with self.reads.get_lock():
            self.reads.value += 1
        return torch.tensor([i, i / 7], dtype=torch.float64), i % 4

    def tensors(self) -> tuple[Tensor, Tensor]:
        index = torch.arange(self.examples)
        return torch.stack([index.double(), index.double() / 7], dim=1), index % 4


class Source(IterableDataset):
    """(float(i), i) for i = 0, 1, ..., which its workers share among them."""

    def __init__(self, end: float = float("inf")):
        self.end = end
        self.begun = 0

    def __iter__(self) -> Iterator[tuple[float, int]]:
        self.begun += 1
        worker = get_worker_info()
        i, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        while i < self.end:
            yield float(i), i
            i += stride
