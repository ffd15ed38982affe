"""Readings as TensorBoard's scalars."""

from __future__ import annotations

from typing import Protocol, final

from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Name


class Writer(Protocol):
    """What is needed of `torch.utils.tensorboard.SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Write a number down."""


def write_scalars(history: History, writer: Writer, since: int = 0) -> None:
    """Write the points of all series from a step on, under "quantity" or "quantity/place".

    For a run that goes on, `LiveScalars` writes every point once.

    Args:
        history: of a watch. writer: a `SummaryWriter`, or whatever has its `add_scalar`.
        since: the first step that is written.
    """
    for name in history.names():
        _write(history, name, writer, since)


@final
class LiveScalars:
    """Writes the readings of a run that goes on, each once, however often it is called.

        scalars = LiveScalars(SummaryWriter())
        ...
        scalars.write(watch.history)  # after an epoch, say

    A series keeps 512 points: of one that gets more between two calls, every second is missing.

    Args:
        writer: a `SummaryWriter`, or whatever has its `add_scalar`.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._next: dict[Name, int] = {}

    def write(self, history: History) -> None:
        """Write what is new. Series are told apart: one may end a step before another."""
        for name in history.names():
            last = _write(history, name, self._writer, self._next.get(name, 0))
            if last is not None:
                self._next[name] = last + 1


def _write(history: History, name: Name, writer: Writer, since: int) -> int | None:
    """Write a series from a step on; the last step that was written."""
    points = history.series(*name).since(since)
    for step, value in points:
        writer.add_scalar("/".join(filter(None, name)), value, step)
    return points.steps[-1] if len(points) else None
