"""Where the chunks of a comparison train: in this process, or in others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence

from ravine.training.lane import Lane, Member, Tick


class Executor(ABC):
    """Trains chunks of members to the end, and hands them back whenever they pause."""

    @abstractmethod
    def train(
        self, chunks: Iterable[Sequence[Member]], until: int, tick: Tick, pause: float
    ) -> Generator[Sequence[Member]]:
        """Train chunks up to gradient step `until`.

        What chunks come to does not depend on their order, nor on where they train. Closing the
        generator ends what is under way.

        Args:
            chunks: each with its snapshots; asked for one by one, when there is room for them.
            until: an evaluation step of the problem.
            tick: hears of progress.
            pause: seconds of training after which a chunk is handed back, at its next evaluation.

        Yields:
            A chunk as far as it has come: at every pause, and at `until`. Of several chunks that
            train at once these come as they are ready.
        """


class Here(Executor):
    """Trains one chunk after the other in this process.

    Args:
        lane: trains them.
    """

    def __init__(self, lane: Lane):
        self._lane = lane

    def train(
        self, chunks: Iterable[Sequence[Member]], until: int, tick: Tick, pause: float
    ) -> Generator[Sequence[Member]]:
        """Train chunks one by one; see `Executor.train`."""
        for chunk in chunks:
            while any(member.step < until for member in chunk):
                chunk = self._lane.train(chunk, until, tick, pause)
                yield chunk
