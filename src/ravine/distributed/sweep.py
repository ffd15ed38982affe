"""Chunks of members as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ravine.distributed.cluster import Cluster
from ravine.distributed.work import Parcel, train_chunk
from ravine.errors import ClusterError, said
from ravine.training.executor import Executor
from ravine.training.lane import Member, Tick

LOSSES = 3
"""Times that a chunk may be lost, with its worker or node, between two pauses. The next time it is
taken to be what kills them."""

AHEAD = 2
"""Chunks that are sent for each place to train at: one trains, the next one waits beside it."""


@dataclass(frozen=True)
class _Flight:
    """A chunk under way, as it was sent, and how often it was lost since."""

    members: Sequence[Member]
    losses: int = 0


class RayExecutor(Executor):
    """Trains chunks as Ray tasks, as many at once as there are cores for.

    The cluster keeps nothing that is needed: a chunk that is lost with its worker or its node is sent
    again as it stood when it was sent.

    Args:
        cluster: where.
        parcel: what its workers train with.
        threads: CPU threads of one task.
        note: hears of workers that were lost.
    """

    def __init__(self, cluster: Cluster, parcel: Parcel, threads: int, note: Callable[[str], None]):
        self._cluster = cluster
        self._threads = threads
        self._note = note
        self._key = parcel.key
        self._insist_on_room()
        try:
            self._parcel = cluster.ray.put(parcel)
        except cluster.ray.exceptions.RayError as error:
            raise ClusterError(
                f"the cluster cannot hold the recipe ({said(error)}); give it as a file that defines "
                "recipe(), by its path"
            ) from error
        # Ray's own retries would be silent, and would begin with what was first sent.
        self._task = cluster.ray.remote(train_chunk).options(num_cpus=threads, max_retries=0)

    def train(
        self, chunks: Iterable[Sequence[Member]], until: int, tick: Tick, pause: float
    ) -> Generator[Sequence[Member]]:
        """Train chunks, several at once; see `Executor.train`."""
        ray, waiting = self._cluster.ray, iter(chunks)
        flights: dict[Any, _Flight] = {}

        def send(flight: _Flight) -> None:
            sent = self._task.remote(self._key, [self._parcel], flight.members, until, pause)
            flights[sent] = flight

        try:
            while True:
                for chunk in islice(waiting, max(0, self._room() - len(flights))):
                    send(_Flight(chunk))
                if not flights:
                    return
                (task,), _ = ray.wait(list(flights), num_returns=1)
                flight = flights.pop(task)
                members = self._result(task, flight)
                if members is None:
                    send(_Flight(flight.members, flight.losses + 1))
                    continue
                if any(member.step < until for member in members):
                    send(_Flight(members))
                tick(_steps(members) - _steps(flight.members))
                yield members
        finally:
            for task in flights:
                ray.cancel(task, force=True)

    def _result(self, task: Any, flight: _Flight) -> Sequence[Member] | None:
        """What a task came to; None if it was lost and is to be sent again."""
        ray = self._cluster.ray
        try:
            members: Sequence[Member] = ray.get(task)
        except ray.exceptions.RayTaskError as error:
            raise self._cause(error) from error
        except ray.exceptions.RayError as error:
            if flight.losses == LOSSES:
                trials = f"{flight.members[0].run.trial} and {len(flight.members) - 1} more"
                raise ClusterError(
                    f"workers were lost {LOSSES + 1} times while they trained {trials} "
                    f"({said(error)}); what finished is kept: expected workers with more memory, or "
                    "a recipe that does not end its process"
                ) from error
            self._note(
                f"a worker was lost ({type(error).__name__}); runs that train again from step "
                f"{flight.members[0].step}: {len(flight.members)}"
            )
            return None
        return members

    def _cause(self, error: Any) -> Exception:
        """What went wrong in a worker, as it would have here."""
        cause = error.cause
        begun = not isinstance(cause, self._cluster.ray.exceptions.RayError)
        if isinstance(cause, Exception) and begun and "failed to import" not in str(cause):
            return cause
        return ClusterError(
            f"a worker cannot begin ({said(cause)}); "
            "expected ravine, installed in the same version on every machine"
        )

    def _room(self) -> int:
        """How many chunks may be under way."""
        return AHEAD * max(1, self._cluster.cores // self._threads)

    def _insist_on_room(self) -> None:
        if self._cluster.cores < self._threads:
            raise ClusterError(
                f"the cluster has {self._cluster.cores} CPU cores, and this comparison trains on "
                f"{self._threads} at once; expected a larger cluster"
            )


def _steps(members: Sequence[Member]) -> int:
    return sum(member.step for member in members)
