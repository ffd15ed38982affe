"""Minibatches: an epoch's order cut into gradient steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ravine.batches._order import Order
from ravine.batches._shuffling import shuffled
from ravine.errors import SettingError, insist_on_count

Last = Literal["drop", "keep"]
"""What becomes of an epoch's last batch where it is smaller than the others."""


def per_epoch(examples: int, batch_size: int, last: Last = "drop") -> int:
    """Gradient steps in one epoch: ⌊examples / batch_size⌋, at least 1; with "keep" rounded up.

    Raises:
        SettingError: examples or batch_size below 1; `last` neither "drop" nor "keep".
    """
    insist_on_count("examples", examples)
    insist_on_count("batch_size", batch_size)
    if last not in get_args(Last):
        raise SettingError(f"last={last!r}; expected 'drop' or 'keep'")
    return -(-examples // batch_size) if last == "keep" else max(1, examples // batch_size)


class Batches:
    """The minibatches of several runs side by side, one row of indices per run.

    Args:
        seeds: one seed per run; runs of the same seed and order see the same batches.
        examples: number of training examples.
        batch_size: examples in a minibatch; the full batch where there are no more examples.
        device: where the indices are used.
        orders: one order per run; `shuffled()` for all by default.
        last: whether an epoch's last, smaller batch is dropped or kept.

    Raises:
        SettingError: sizes below 1, not as many orders as seeds, or an unknown `last`.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        examples: int,
        batch_size: int,
        device: torch.device | str,
        orders: Sequence[Order] | None = None,
        last: Last = "drop",
    ):
        orders = [shuffled()] * len(seeds) if orders is None else orders
        if len(orders) != len(seeds):
            raise SettingError(
                f"{len(orders)} orders of examples for {len(seeds)} runs; expected one per run"
            )
        self._per_epoch = per_epoch(examples, batch_size, last)
        self._size = min(batch_size, examples)
        self._device = torch.device(device)
        self._examples = examples
        runs = list(zip(seeds, orders, strict=True))
        self._distinct = list(dict.fromkeys(runs))
        place = {run: row for row, run in enumerate(self._distinct)}
        self._rows = torch.tensor([place[run] for run in runs], device=self._device)
        self._epoch = -1
        self._indices = torch.empty(0)

    @property
    def examples(self) -> int:
        """Number of training examples."""
        return self._examples

    @property
    def steps(self) -> int | None:
        """Gradient steps until the first of the orders ends; None where none does."""
        ends = [order.epochs for _, order in self._distinct if order.epochs is not None]
        return min(ends) * self._per_epoch if ends else None

    @property
    def distinct(self) -> int:
        """How many runs differ in seed or order."""
        return len(self._distinct)

    def at(self, step: int) -> Tensor:
        """Indices of the minibatch at a gradient step (from 0).

        Returns:
            int64 [runs, batch_size]; fewer columns in a last batch that is kept.

        Raises:
            SettingError: an order of examples has ended, does not fit the data, or gave what are no
                indices of examples; each epoch is checked once, when it is computed.
        """
        return self.by_run(self.distinct_at(step))

    def distinct_at(self, step: int) -> Tensor:
        """As `at`, with one row for all runs of one seed and equal order: int64 [distinct, n]."""
        epoch, position = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            arranged = [self._arranged(seed, order, epoch) for seed, order in self._distinct]
            self._indices = torch.stack(arranged).to(self._device)
            self._epoch = epoch
        return self._indices[:, position * self._size : (position + 1) * self._size]

    def by_run(self, distinct: Tensor) -> Tensor:
        """What belongs to each distinct run, for each run: [distinct, ...] -> [runs, ...]."""
        if len(self._distinct) == len(self._rows):
            return distinct
        return distinct[self._rows.to(distinct.device)]

    def _arranged(self, seed: int, order: Order, epoch: int) -> Tensor:
        indices = order.epoch(seed, epoch, self._examples)
        if indices.shape != (self._examples,) or indices.dtype != torch.int64:
            raise SettingError(
                f"the order {order.name!r} gave {indices.dtype} {list(indices.shape)}; "
                f"expected torch.int64 [{self._examples}], one index for each example"
            )
        least, most = (int(end) for end in indices.aminmax())
        if least < 0 or most >= self._examples:
            raise SettingError(
                f"the order {order.name!r} gave indices from {least} to {most} in epoch {epoch}; "
                f"expected indices of examples, 0 to {self._examples - 1}"
            )
        return indices
