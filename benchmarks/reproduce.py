"""The notes' experiments at the sizes that fit a laptop's CPU: do their orderings hold?

    RAVINE_DATA=DIR python benchmarks/reproduce.py [--out DIR] [--scale X] [NAME ...]

Takes about 25 minutes on two cores and writes benchmarks/results/reproduce.json: for each experiment its
claims with their probabilities, the seeds and where each line ended, the seconds it took, and the
environment. Run again it continues: finished trainings lie in --out (default: runs/reproduce).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from ravine import api, screen
from ravine.environment import environment
from ravine.report.again import numbers
from ravine.reproduce import STUDIES

RESULT = Path(__file__).parent / "results" / "reproduce.json"

SECONDS = "seconds.json"
"""In an experiment's folder: what it has taken so far, over all runs of this script."""


def main() -> None:
    """Make the experiments again, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(STUDIES), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--scale", type=float, help="of all of them (default: of each its own)")
    parser.add_argument("--result", type=Path, default=RESULT)
    arguments = parser.parse_args()
    found = {}
    for name in arguments.names:
        found[name] = reproduced(name, arguments.out / name, arguments.scale)
        table = {
            "environment": environment(None),
            "seconds": round(sum(row["seconds"] for row in found.values()), 1),
            "experiments": found,
        }
        arguments.result.write_text(json.dumps(table, indent=1) + "\n")
    print(f"{arguments.result}: {table['seconds']:.0f} s in all")


def reproduced(name: str, folder: Path, scale: float | None) -> dict[str, object]:
    """One experiment; its seconds go on from where an interrupted run of it stopped."""
    clock = folder.parent / f"{name}-{SECONDS}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(clock.read_text()) if clock.exists() else 0.0
    start = time.perf_counter()
    try:
        with screen.shown() as progress:
            made = api.reproduce(name, scale=scale, out=folder, progress=progress)
    finally:
        seconds = before + time.perf_counter() - start
        clock.write_text(json.dumps(round(seconds, 1)))
    screen.print_reproduction(made)
    print(f"{name}: {seconds:.0f} s\n", flush=True)
    row = numbers(made)
    del row["environment"], row["name"]
    return {"seconds": round(seconds, 1), **row}


if __name__ == "__main__":
    main()
