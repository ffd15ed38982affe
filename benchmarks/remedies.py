"""What the doctor's first recommendation is worth: on every planted fault, against the healthy twin.

    OMP_NUM_THREADS=1 python -m benchmarks.remedies [--half set|judged] [--only NAME ...] [--no-store]

Run it from the repository's root. Visits every case of tests/faults whose outcomes confirm that it is
a fault. It counts as mended if, with the recommendation applied, at most a tenth of the way from the
untrained to the trained twin is lost, as the mean over the visit's fresh seeds. On three seeds not
every gain can be shown: of how many mended ones it was is counted, too. Remedies and their order were
chosen on the half "set", and are judged on the other. Some minutes a half; writes
benchmarks/results/remedies.json.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from tests.faults import outcomes
from tests.faults.cases import CASES, Case, half
from tests.faults.form import missing

from ravine.diagnostics.doctor.patient import Patient
from ravine.diagnostics.doctor.visit import Prescription, visit
from ravine.environment import environment

RESULTS = Path(__file__).parent / "results" / "remedies.json"
HALVES = ("set", "judged")
WORKERS = 2

SEED = 33_000
"""Neither of those that the labels come from nor of those that thresholds were set with."""

MENDED = 0.1


def confirmed(which: str) -> list[Case]:
    """The faults of a half that their outcomes confirm, and whose data are there."""
    known = outcomes.stored()["cases"]
    those = [c for c in CASES if half(c) == which and not missing(c.healthy)]
    return [c for c in those if known.get(c.name, {}).get("fault")]


def visited(case: Case) -> Prescription:
    """One fault's visit."""
    problem = case.faulty.problem()
    recipe = replace(problem.recipe, steps=problem.steps, epochs=None)
    return visit(Patient(recipe, case.faulty.procedure(problem), case.faulty.lr), SEED)


def treated(name: str) -> dict[str, Any]:
    """What one fault's visit came to."""
    case = next(case for case in CASES if case.name == name)
    found = visited(case)
    return {
        "name": name,
        "kind": case.kind,
        "found": [finding.kind for finding in found.findings[:2]],
        "recommended": None if found.recommended is None else found.recommended.name,
        "gains": found.proof.gains,
        "shown": found.works,
        "left": left(case, found),
        "tried": [f"{a.change.name}, {a.trained} to step {a.until}" for a in found.attempts],
        "cost": found.cost,
    }


def left(case: Case, found: Prescription) -> float:
    """Share of the twin's way that is still lost with the recommendation, or without one."""
    stored = outcomes.of(case)
    start, end = (
        np.mean([value for value in stored[part] if value is not None])
        for part in ("untrained", "twin")
    )
    reached = np.mean(found.proof.changed) if found.proof.changed else found.screened
    share = (reached - end) / (start - end)
    return float(np.clip(np.nan_to_num(share, nan=2.0), -2.0, 2.0))


def share(hits: Sequence[bool]) -> str:
    """A share with Wilson's 95% interval."""
    test = binomtest(sum(hits), len(hits))
    ci = test.proportion_ci(method="wilson")
    return f"{test.k}/{test.n} = {test.statistic:.1%} [{ci.low:.1%}, {ci.high:.1%}]"


def show(which: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Print the faults that were not mended, and the shares of a half."""
    print(f"\n{which}: not mended")
    for row in rows:
        if row["left"] > MENDED:
            doubt = "" if row["shown"] or row["recommended"] is None else " (not shown to help)"
            found = ", ".join(row["found"])
            print(f"{row['name']:30}{row['left']:6.2f}  {row['recommended']}{doubt}  [{found}]")
    costs = [row["cost"] for row in rows]
    mended = [row["left"] <= MENDED for row in rows]
    shown = [hit and row["shown"] for hit, row in zip(mended, rows, strict=True)]
    shares = {"mended": share(mended), "mended, and shown to help": share(shown)}
    for what, text in shares.items():
        print(f"{which}: {what} {text}")
    print(f"{which}: cost {np.mean(costs):.1f} trainings, {max(costs):.1f} at most")
    return {**shares, "cost": {"mean": np.mean(costs), "most": max(costs)}, "faults": rows}


def ready() -> None:
    """A worker before its first visit: what a process pays once is paid."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    visited(confirmed("set")[0])


def main() -> None:
    """Treat all, print the table, store it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=HALVES, help="default: both")
    parser.add_argument("--only", nargs="+", default=[], help="cases to visit; nothing is stored")
    parser.add_argument("--no-store", action="store_true")
    asked = parser.parse_args()
    stored: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    halves = {which: stored[which] for which in HALVES if which in stored}
    with ProcessPoolExecutor(WORKERS, get_context("fork"), initializer=ready) as pool:
        for which in [asked.half] if asked.half else HALVES:
            names = [c.name for c in confirmed(which) if not asked.only or c.name in asked.only]
            if names:
                halves[which] = show(which, list(pool.map(treated, names)))
    if not (asked.no_store or asked.only):
        about = {"environment": environment("python -m benchmarks.remedies")}
        RESULTS.write_text(json.dumps({**about, **halves}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
