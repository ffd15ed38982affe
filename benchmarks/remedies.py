"""What the doctor's first recommendation is worth: on every planted fault, against the healthy twin.

    OMP_NUM_THREADS=1 python -m benchmarks.remedies

Run it from the repository's root. A fault counts as mended if, with the recommendation applied, at
most a tenth of the way from the untrained to the trained twin is lost, as the mean over the visit's
fresh seeds. Writes benchmarks/results/remedies.json.
"""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from tests.faults import outcomes
from tests.faults.cases import CASES
from tests.faults.form import Case

from ravine.diagnostics.doctor import Prescription, visit
from ravine.diagnostics.patient import Patient
from ravine.environment import environment

RESULTS = Path(__file__).parent / "results" / "remedies.json"

SEED = 33_000
"""Neither of those that the labels come from nor of those that thresholds were set with."""

MENDED = 0.1


def treated(name: str) -> dict[str, Any]:
    """One fault's visit."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    case = next(case for case in CASES if case.name == name)
    problem = case.faulty.problem()
    recipe = replace(problem.recipe, steps=problem.steps, epochs=None)
    found = visit(Patient(recipe, case.faulty.procedure(problem), case.faulty.lr), SEED)
    return {
        "name": name,
        "kind": case.kind,
        "found": [finding.kind for finding in found.findings[:2]],
        "recommended": None if found.recommended is None else found.recommended.name,
        "left": left(case, found),
        "cost": found.gradient_steps / problem.steps,
    }


def left(case: Case, found: Prescription) -> float:
    """Share of the twin's way that is still lost with the recommendation, or without one."""
    stored = outcomes.of(case)
    start, end = (
        np.mean([value for value in stored[part] if value is not None])
        for part in ("untrained", "twin")
    )
    reached = np.mean(found.changed) if found.changed else found.run.curve[-1].validation_metric
    share = (reached - end) / (start - end)
    return float(np.clip(np.nan_to_num(share, nan=2.0), -2.0, 2.0))


def wilson(hits: int, of: int) -> list[float]:
    """95% interval of a share."""
    interval = stats.binomtest(hits, of).proportion_ci(method="wilson")
    return [float(interval.low), float(interval.high)]


def main() -> None:
    """Treat all, print the table, store it."""
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(treated, [case.name for case in CASES]))
    for row in rows:
        sign = "mended" if row["left"] <= MENDED else ""
        print(f"{row['name']:32} {row['kind']:22} {row['left']:6.2f} {sign:7} {row['recommended']}")
    mended = sum(row["left"] <= MENDED for row in rows)
    costs = [row["cost"] for row in rows]
    share = {"mended": mended, "of": len(rows), "ci95": wilson(mended, len(rows))}
    print(f"\nmended: {mended} of {len(rows)}, {share['ci95']}; cost {max(costs):.1f} at most")
    text = json.dumps(
        {"environment": environment("python -m benchmarks.remedies"), **share, "faults": rows},
        indent=1,
    )
    RESULTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
