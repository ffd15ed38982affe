"""A comparison that is killed (SIGKILL) at any moment goes on where it was."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

SHORT = ["--optimizers", "sgd,adam", "--steps", "54", "--lane", "serial"]

POINTS = """
    SELECT stage, optimizer, hyper, seed, step, saved_at
    FROM points JOIN trials ON id = trial
"""


def start(out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "ravine", "compare", "digits-softmax", "--out", str(out)]
    environment = {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(
        [*command, *SHORT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
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


def test_sigkill_at_random_moments(tmp_path):
    begun = time.monotonic()
    undisturbed = start(tmp_path / "whole")
    assert undisturbed.wait() == 0, undisturbed.stderr.read()
    whole = time.monotonic() - begun
    out, moments, seen = tmp_path / "killed", random.Random(0), []
    for _ in range(6):
        process = start(out)
        time.sleep(whole * moments.uniform(0.4, 0.8))
        process.kill()
        process.wait()
        seen.append(saved(out))
    last = start(out)
    assert last.wait() == 0, last.stderr.read()
    assert verdict(out) == verdict(tmp_path / "whole")
    end = saved(out)
    assert set(end) == set(saved(tmp_path / "whole"))
    for before in seen:
        assert before.items() <= end.items()  # what was stored was not trained again
    assert any(0 < len(before) < len(end) for before in seen), "no kill fell into the training"
