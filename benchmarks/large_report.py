"""`ravine report` on a run folder of 10,000 trials of 1,000 points each: seconds, memory, page.

The folder is written through the Store itself, for a comparison of 20 arms with 240 learning rates
each, and one of 200 arms with 15; curves are drawn from a fixed generator. Each report is a process of
its own: its seconds on the clock and on the processor, its peak memory (ru_maxrss), the size of its
page. Goals: 15 s, 1 GiB, 20 MB. Writes results/large-report.json.

    python -m benchmarks.large_report [--folder DIR] [--turns 3]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ravine.comparison.store import Store
from ravine.environment import environment
from ravine.training.lane import Member
from ravine.training.records import Point, Run, Trial

FILE = Path(__file__).parent / "results" / "large-report.json"
TRIALS, POINTS = 10_000, 1_000
FRESH = 20
SHAPES = (20, 200)
"""Numbers of arms."""


def build(folder: Path, arms: int, trials: int = TRIALS, points: int = POINTS) -> None:
    """A finished comparison of so many arms, trials and points."""
    names = [f"arm{i}" for i in range(arms)]
    rates = [float(f"{rate:.4g}") for rate in np.geomspace(1e-4, 1, (trials // arms - FRESH) // 2)]
    chosen = {name: rates[len(rates) // 2] for name in names}
    draw = np.random.default_rng(0)
    store = Store(folder)
    for stage, seeds in (("selection", range(2)), ("final", range(2, 2 + FRESH))):
        for place, name in enumerate(names):
            tried = rates if stage == "selection" else [chosen[name]]
            store.save(
                stage,
                [
                    _member(Trial(name, {"lr": rate}, seed), place, points, draw)
                    for rate in tried
                    for seed in seeds
                ],
            )
    store.save_tests("final", [(run.trial, 0.1) for run in store.runs("final")])
    store.set_facts(
        settings={"arms": names, "steps": points - 1, "seed": 0},
        recipe={"name": "large"},
        lane={"name": "serial", "threads": 1, "compiled": False, "capacity": 1, "asked": "serial"},
        problem={
            **{"name": "large", "metric": "error_rate", "maximize": False, "target": None},
            **{"tested": True, "patience": None, "titles": {name: name for name in names}},
            "parts": {
                name: {"optimizer": name, "init": "-", "schedule": "-", "batches": "-"}
                for name in names
            },
            "step_seconds": dict.fromkeys(names, 1e-4),
        },
        environment={"lane": "one by one", "threads": "1"},
        outcome={"chosen": chosen, "seeds": list(range(2, 2 + FRESH)), "unsettled": []},
        explanations=[],
    )
    store.close()


def _member(trial: Trial, place: int, points: int, draw: np.random.Generator) -> Member:
    """A curve that falls, worse far from the middle rate; at high rates some end in NaN."""
    off = abs(np.log10(trial.lr) + 2)
    falling = 0.9 * np.exp(-np.arange(points) / (points * (0.1 + 0.1 * off)))
    noisy = falling + 0.1 + 0.001 * place + 0.01 * draw.standard_normal(points)
    curve = noisy + 0.05 * draw.random()
    if off > 1.8 and trial.lr > 0.1:
        curve[points // 2 :] = np.nan
    values = curve.tolist()
    return Member(Run(trial, tuple(Point(i, v, v, v) for i, v in enumerate(values))))


def measured(folder: Path) -> dict[str, float]:
    """One `ravine report`, in a process of its own."""
    code = (
        "import resource, sys, time; start = time.perf_counter();"
        "from ravine.cli import main; code = main(['report', sys.argv[1]]);"
        "used = resource.getrusage(resource.RUSAGE_SELF);"
        "print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss);"
        "sys.exit(code)"
    )
    start = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - start
    _, processor, kilobytes = map(float, told.stdout.splitlines()[-1].split())
    page = (folder / "report.html").stat().st_size
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "peak_mib": round(kilobytes / 1024, 1),
        "page_mb": round(page / 1e6, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, help="where run folders are kept for the next time")
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as made:
        for arms in SHAPES:
            folder = (asked.folder or Path(made)) / f"arms-{arms}"
            if not folder.exists():
                build(folder, arms)
            turns = [measured(folder) for _ in range(asked.turns)]
            store_mb = round((folder / "run.sqlite").stat().st_size / 1e6)
            results[f"{arms} arms"] = {"store_mb": store_mb, "turns": turns}
            print(f"{arms} arms: {turns}", flush=True)
    asked_for = {"trials": TRIALS, "points": POINTS}
    lines = {"environment": environment(None), **asked_for, "results": results}
    FILE.write_text(json.dumps(lines, indent=2) + "\n")


if __name__ == "__main__":
    main()
