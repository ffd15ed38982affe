"""Work done by several processes of one gloo group."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

PATIENCE = 25
"""Seconds until processes that wait for each other are given up; a test takes about 8."""


def in_processes(count: int, work: Callable[..., Any], folder: Path, *args: Any) -> list[Any]:
    """What `work(*args)` returned in each process, by rank.

    Args:
        count: how many processes.
        work: a function of a module; what it returns is handed over by `torch.save`.
        folder: an existing folder, not used by a call before.
    """
    context = mp.spawn(_member, (count, work, folder, args), nprocs=count, join=False)
    deadline = time.monotonic() + PATIENCE
    try:
        while not context.join(timeout=1):
            assert time.monotonic() < deadline, f"{work.__name__} did not end"
    finally:
        for process in context.processes:
            process.kill()
    return [torch.load(folder / f"result{rank}.pt") for rank in range(count)]


def _member(
    rank: int, count: int, work: Callable[..., Any], folder: Path, args: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'group'}",
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=PATIENCE),
    )
    try:
        torch.save(work(*args), folder / f"result{rank}.pt")
    finally:
        dist.destroy_process_group()
