"""Processes of one gloo group, which work together on what they are given."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

PATIENCE = 60
"""Seconds until processes that wait for each other are given up; a piece of work takes about 1."""


class Group:
    """Processes that stay, because starting them takes longer (5 s) than what they are to do.

    Args:
        count: how many processes.
        folder: an existing folder; through a file in it they find each other.
    """

    def __init__(self, count: int, folder: Path) -> None:
        self._count = count
        self._folder = folder
        self._starts = 0
        self._members: list[tuple[Any, Connection]] = []

    def run(self, work: Callable[..., Any], *args: Any) -> list[Any]:
        """What `work(*args)` returned in each process, by rank; `work` is a module's function."""
        if not self._members:
            self._start()
        try:
            for _, end in self._members:
                end.send((work, args))
            return [
                self._result(work.__name__, rank, end)
                for rank, (_, end) in enumerate(self._members)
            ]
        except BaseException:
            self.end()  # another process may still be waiting for the one that failed
            raise

    def end(self) -> None:
        """End the processes; the next work starts new ones."""
        for process, _ in self._members:
            process.kill()
            process.join()
        self._members = []

    def _start(self) -> None:
        context = mp.get_context("spawn")
        self._starts += 1
        meeting = self._folder / f"meeting{self._starts}"
        for rank in range(self._count):
            ours, theirs = context.Pipe()
            args = (rank, self._count, meeting, theirs)
            process = context.Process(target=_serve, args=args, daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, ours))

    def _result(self, name: str, rank: int, end: Connection) -> Any:
        assert end.poll(PATIENCE), f"{name} has not ended on rank {rank}"
        done, result = end.recv()
        assert done, f"{name} failed on rank {rank}:\n{result}"
        return result


def _serve(rank: int, count: int, meeting: Path, end: Connection) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=PATIENCE),
    )
    while True:
        work, args = end.recv()
        try:
            end.send((True, work(*args)))
        except Exception:
            end.send((False, traceback.format_exc()))
