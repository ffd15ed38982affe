"""What is lost when a comparison is disturbed: SIGKILL of the main process at 10 random moments, of the
main process of a Ray cluster at 3, of Ray workers at 5, a full disk, a read-only folder.

After every disturbance the same command is typed again. Asked is whether each point that was stored
is still there, stored once, and whether the verdict is the undisturbed one to the last bit. Moments are
drawn from a fixed generator. Disks are tmpfs mounts, which take root. Writes results/faults.json.

    python -m benchmarks.faults
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.disturbed import finish, kill_after, saved, start, training_workers, verdict

from ravine.environment import environment

FILE = Path(__file__).parent / "results" / "faults.json"

LANES = {"serial": 40, "population": 8}
"""Lane -> the most writes to its database after which it is killed."""

LONGER = ("--steps", "540", "--lane", "serial")
"""So long that a worker is found while it trains."""

LONGEST = ("--steps", "2160", "--lane", "serial")
"""So long that one is found again when five were killed."""


def undisturbed(folder: Path, *options: str) -> Path:
    out = folder / "whole"
    finish(start(out, *options))
    return out


def outcome(out: Path, whole: Path, before: list[dict[Any, Any]]) -> dict[str, Any]:
    """What disturbances cost, after the last command has come to its end."""
    end = saved(out)
    return {
        "points_at_the_end": len(end),
        "stored_points_lost": sum(len(set(b) - set(end)) for b in before),
        "stored_points_trained_again": sum(
            b[k] != end[k] for b in before for k in set(b) & set(end)
        ),
        "same_points": set(end) == set(saved(whole)),
        "same_verdict": verdict(out) == verdict(whole),
    }


def main_killed(folder: Path, lane: str, kills: int) -> dict[str, Any]:
    """Where a comparison comes to its end before it is killed, the next one begins in a new folder."""
    whole, moments, rows, outcomes = undisturbed(folder, "--lane", lane), random.Random(0), [], []
    while len(rows) < kills:
        out, seen, done = folder / f"killed-{len(outcomes)}", [], False
        while len(rows) < kills and not done:
            process = start(out, "--lane", lane)
            writes, delay = moments.randint(2, LANES[lane]), moments.uniform(0, 0.1)
            kill_after(process, out / "run.sqlite", writes, delay)
            done = process.returncode == 0
            if not done:
                seen.append(saved(out))
                rows.append({"writes": writes, "seconds": delay, "points": len(seen[-1])})
        finish(start(out, "--lane", lane))
        outcomes.append(outcome(out, whole, seen))
    return {"kills": rows, "comparisons": outcomes}


def ray_main_killed(folder: Path, kills: int) -> dict[str, Any]:
    whole, out = undisturbed(folder, *LONGER), folder / "killed"
    moments, rows, seen = random.Random(1), [], []
    for _ in range(kills):
        process = start(out, *LONGER, "--ray")
        writes, delay = moments.randint(10, 25), moments.uniform(0, 0.5)
        below = kill_after(process, out / "run.sqlite", writes, delay)
        seen.append(saved(out))
        time.sleep(3)
        left = sum(os.path.exists(f"/proc/{pid}") for pid in below)
        points = len(seen[-1])
        rows.append({"writes": writes, "seconds": delay, "points": points, "processes_left": left})
    finish(start(out, *LONGER, "--ray"))
    return {"kills": rows, "comparisons": [outcome(out, whole, seen)]}


def worker_killed(folder: Path, kills: int) -> dict[str, Any]:
    whole, out = undisturbed(folder, *LONGEST), folder / "killed"
    moments, rows, seen = random.Random(2), [], []
    process = start(out, *LONGEST, "--ray")
    while len(rows) < kills and process.poll() is None:
        while not training_workers(process) and process.poll() is None:
            time.sleep(0.01)
        wait = moments.uniform(0.5, 3)  # so that some of its chunks are stored
        time.sleep(wait)
        workers = training_workers(process)
        if workers:
            os.kill(moments.choice(workers), signal.SIGKILL)
            seen.append(points_of(out))
            rows.append({"after_seconds": wait, "points": len(seen[-1])})
    said = finish(process)
    told = sum("a worker was lost" in line for line in said.splitlines())
    return {"kills": rows, "losses_told": told, "comparisons": [outcome(out, whole, seen)]}


def points_of(out: Path) -> dict[Any, Any]:
    """The points stored by now, read from a copy: the file itself is locked."""
    with tempfile.TemporaryDirectory() as copies:
        for file in out.glob("run.sqlite*"):
            (Path(copies) / file.name).write_bytes(file.read_bytes())
        try:
            return saved(Path(copies))
        except Exception:  # copied in the middle of a write
            return {}


@contextmanager
def disk(place: Path, kilobytes: int) -> Iterator[None]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


def failing(out: Path, rows: list[dict[str, Any]], seen: list[Any], **what: Any) -> None:
    """A command that cannot write, and what it says."""
    process = start(out, "--lane", "serial")
    _, said = process.communicate()
    seen.append(saved(out))
    rows.append(
        {
            **what,
            "exit": process.returncode,
            "said": said.strip().splitlines()[-1].replace(str(out.parent), ""),
            "points": len(seen[-1]),
        }
    )


def disk_full(folder: Path) -> dict[str, Any]:
    whole, place, rows, seen = undisturbed(folder, "--lane", "serial"), folder / "disk", [], []
    with disk(place, 8):
        for kilobytes in (8, 40, 70, 90, 160, 300):
            remount(place, f"size={kilobytes}k")
            failing(place / "run", rows, seen, kilobytes=kilobytes)
        remount(place, "size=100m")
        finish(start(place / "run", "--lane", "serial"))
        return {"attempts": rows, "comparisons": [outcome(place / "run", whole, seen)]}


def read_only(folder: Path) -> dict[str, Any]:
    whole, place, rows, seen = undisturbed(folder, "--lane", "serial"), folder / "disk", [], []
    with disk(place, 100_000):
        out = place / "run"
        kill_after(start(out, "--lane", "serial"), out / "run.sqlite", 20, 0)
        remount(place, "ro")
        failing(out, rows, seen)
        remount(place, "rw")
        finish(start(out, "--lane", "serial"))
        return {"attempts": rows, "comparisons": [outcome(out, whole, seen)]}


def main() -> None:
    cases = {
        "main process killed, serial lane": lambda folder: main_killed(folder, "serial", 5),
        "main process killed, population lane": lambda folder: main_killed(folder, "population", 5),
        "main process of a Ray cluster killed": lambda folder: ray_main_killed(folder, 3),
        "Ray worker killed": lambda folder: worker_killed(folder, 5),
        "disk full": disk_full,
        "read-only folder": read_only,
    }
    results = {}
    for name, case in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            results[name] = case(Path(folder))
        print(f"{name}: {json.dumps(results[name])}", flush=True)
        lines = {"environment": environment(None), "results": results}
        FILE.write_text(json.dumps(lines, indent=2) + "\n")


if __name__ == "__main__":
    main()
