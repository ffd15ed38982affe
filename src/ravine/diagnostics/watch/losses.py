"""The loss curve of a run: means over equally long stretches, however long the run."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ravine.diagnostics.history import Series
from ravine.training.observer import Observer

MOST = 512
"""Points of a curve."""


@final
class Losses(Observer):
    """Keeps the losses of a run for a figure: an observer that measures nothing.

    Every point is the mean loss of a stretch of steps. When the points are as many as may be, pairs of
    them become one, and from then on stretches are twice as long: the curve covers the whole run
    evenly, where a `History` keeps the recent past.
    """

    def __init__(self) -> None:
        self._each = 1
        self._means: list[Tensor] = []
        self._sum: Tensor | None = None
        self._count = 0

    @property
    def series(self) -> Series:
        """The means so far, at the middle steps of their stretches; steps count from 0. A GPU is asked
        for numbers here, and not before."""
        middle = (self._each - 1) // 2
        steps = [self._each * i + middle for i in range(len(self._means))]
        values = torch.stack(self._means).tolist() if self._means else []
        return Series(steps, values)

    def before_backward(self, loss: Tensor) -> None:
        """Add the loss to the present stretch."""
        value = loss.detach().double()
        self._sum = value if self._sum is None else self._sum + value
        self._count += 1
        if self._count == self._each:
            self._close(self._sum)
        if len(self._means) == MOST:
            pairs = zip(self._means[::2], self._means[1::2], strict=True)
            self._means = [(one + other) / 2 for one, other in pairs]
            self._each *= 2

    def stop(self) -> None:
        """What is left of a stretch is a point, too."""
        if self._sum is not None:
            self._close(self._sum)

    def _close(self, total: Tensor) -> None:
        self._means.append(total / self._count)
        self._sum, self._count = None, 0
