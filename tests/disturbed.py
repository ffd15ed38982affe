"""Comparisons on the command line that are disturbed, and what is left of them."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ravine.training.records import Curve

SHORT = ["--optimizers", "sgd,adam", "--steps", "54"]

CALM = {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}

POINTS = """
    SELECT stage, procedure, hyper, seed, curve, saved_at
    FROM points JOIN trials ON id = trial
"""


def start(
    out: Path, *options: str, recipe: str = "digits-softmax", largest_file: int | None = None
) -> subprocess.Popen:
    """A short comparison in a process of its own.

    Args:
        out, options: its run folder, and what else is typed.
        recipe: what is trained.
        largest_file: bytes that a file may have (RLIMIT_FSIZE).
    """
    inherited = {name: os.environ[name] for name in ("PYTHONPATH", "HOME") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "ravine", "compare", recipe, "--out", str(out), *SHORT, *options],
        # without bytecode: a limit would leave half of a file, which nobody could import
        env={**CALM, **inherited},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=None if largest_file is None else _limiting(largest_file),
    )


def _limiting(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def training_workers(process: subprocess.Popen) -> list[int]:
    """The Ray workers below a process that train at this moment."""
    below = titles_below(process.pid)
    return [pid for pid, title in below.items() if title.startswith("ray::train_chunk")]


def titles_below(pid: int) -> dict[int, str]:
    """The processes below one, and their titles."""
    import psutil

    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return {}
    return {child.pid: _title(child) for child in below}


def _title(process: Any) -> str:
    import psutil

    try:
        return str((process.cmdline() or [""])[0])
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def finish(process: subprocess.Popen) -> str:
    """Wait for a comparison that has to succeed; what it said on standard error."""
    _, said = process.communicate()
    assert process.returncode == 0, said
    return said


def verdict(out: Path) -> dict:
    """verdict.json without what a clock or the command line gives, and what instruments saw of failed
    trials, which measure when there is time."""
    found = json.loads((out / "verdict.json").read_text())
    del found["environment"]
    for setting in found["failures"]["settings"]:
        del setting["cause"], setting["explanation"]
    for arm in found["arms"]:
        del arm["seconds_to_target"]
    return found


def saved(out: Path) -> dict:
    """When each point was stored."""
    if not (out / "run.sqlite").exists():
        return {}
    database = sqlite3.connect(out / "run.sqlite")
    tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'points'").fetchall()
    rows = database.execute(POINTS).fetchall() if tables else []  # killed before it was made
    database.close()
    return {
        (*trial, point.step): saved_at
        for *trial, curve, saved_at in rows
        for point in Curve.unpack(curve)
    }


def kill_after(process: subprocess.Popen, file: Path, writes: int, delay: float) -> dict[int, str]:
    """Kill a process some time after it has written to the database so many times.

    Returns:
        The processes that were below it.
    """
    seen, count = None, 0
    while process.poll() is None and count < writes:
        state = (file.stat().st_size, file.stat().st_mtime_ns) if file.exists() else None
        count += state != seen
        seen = state
        time.sleep(0.001)
    time.sleep(delay)
    below = titles_below(process.pid)
    process.kill()
    process.wait()
    return below
