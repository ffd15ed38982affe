"""In what order examples are seen: minibatches without replacement, shuffled every epoch.

The order is a function of (seed, epoch) alone, so that any step of any run can be replayed, and runs
of one seed see the same examples whatever the optimizer. A last batch smaller than the others is
left out; since every epoch is shuffled anew, all examples take part.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.seeds import generator


def per_epoch(examples: int, batch_size: int) -> int:
    """Gradient steps in one epoch."""
    return max(1, examples // batch_size)


def order(seed: int, epoch: int, examples: int) -> Tensor:
    """The order of examples in one epoch: a permutation, int64 [examples]."""
    return torch.randperm(examples, generator=generator(seed, "order", epoch))


class Batches:
    """The minibatches of several runs side by side, one row of indices per run.

    Args:
        seeds: one seed per run; runs of the same seed see the same batches.
        examples: number of training examples.
        batch_size: examples in a minibatch.
        device: where the indices are used.
    """

    def __init__(self, seeds: list[int], examples: int, batch_size: int, device: torch.device):
        self._seeds = seeds
        self._examples = examples
        self._size = min(batch_size, examples)
        self._steps = per_epoch(examples, self._size)
        self._device = device
        self._epoch = -1
        self._orders = torch.empty(0)

    def at(self, step: int) -> Tensor:
        """Indices of the minibatch at a gradient step (from 0): int64 [runs, batch_size]."""
        epoch, position = divmod(step, self._steps)
        if epoch != self._epoch:
            distinct = {seed: order(seed, epoch, self._examples) for seed in set(self._seeds)}
            self._orders = torch.stack([distinct[seed] for seed in self._seeds]).to(self._device)
            self._epoch = epoch
        return self._orders[:, position * self._size : (position + 1) * self._size]
