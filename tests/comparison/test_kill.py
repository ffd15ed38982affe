"""A comparison that is killed (SIGKILL) at any moment goes on where it was."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHORT = ["--optimizers", "sgd,adam", "--steps", "54"]

POINTS = """
    SELECT stage, procedure, hyper, seed, step, saved_at
    FROM points JOIN trials ON id = trial
"""


def start(out: Path, lane: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "ravine", "compare", "digits-softmax", "--out", str(out)]
    environment = {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(
        [*command, *SHORT, "--lane", lane],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def verdict(out: Path) -> dict:
    """verdict.json without what a clock or the command line gives."""
    found = json.loads((out / "verdict.json").read_text())
    del found["environment"]
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
    return {row[:-1]: row[-1] for row in rows}


def kill_after(process: subprocess.Popen, file: Path, writes: int, delay: float) -> None:
    """Kill a process some time after it has written to the database so many times."""
    seen, count = None, 0
    while process.poll() is None and count < writes:
        state = (file.stat().st_size, file.stat().st_mtime_ns) if file.exists() else None
        count += state != seen
        seen = state
        time.sleep(0.001)
    time.sleep(delay)
    process.kill()
    process.wait()


@pytest.mark.parametrize(("lane", "most_writes"), [("serial", 40), ("population", 8)])
def test_sigkill_at_random_moments(tmp_path, lane, most_writes):
    undisturbed = start(tmp_path / "whole", lane)
    assert undisturbed.wait() == 0, undisturbed.stderr.read()
    out, moments, seen = tmp_path / "killed", random.Random(0), []
    for _ in range(4):
        process = start(out, lane)
        writes, delay = moments.randint(2, most_writes), moments.uniform(0, 0.1)
        kill_after(process, out / "run.sqlite", writes, delay)
        seen.append(saved(out))
    last = start(out, lane)
    assert last.wait() == 0, last.stderr.read()
    assert verdict(out) == verdict(tmp_path / "whole")
    end = saved(out)
    assert set(end) == set(saved(tmp_path / "whole"))
    for before in seen:
        assert before.items() <= end.items()  # what was stored was not trained again
    assert any(0 < len(before) < len(end) for before in seen), "no kill fell into the training"
