"""Diagnosis against planted faults: how their labels are made.

    OMP_NUM_THREADS=1 python -m benchmarks.diagnosis --label [NAME ...]

Run it from the repository's root. Trains every case of tests/faults, its healthy twin and all other
healthy runs over ten seeds, looks for each healthy one's best known result, and writes
tests/faults/outcomes.json: metrics by seed, and what they make of each case. With names, those
alone are trained anew. Takes about half an hour on two cores, and needs the folders mnist/ and imdb/
where RAVINE_DATA says.
Without --label it prints the table of what is stored, with the half that each belongs to: "set",
which thresholds are set on, or "judged", tests/faults/judged.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from typing import Any

import torch
from tests.faults.cases import CASES, HEALTHY, Case, Setup, half
from tests.faults.form import described, differences
from tests.faults.outcomes import (
    MARGIN,
    REACHED,
    RIVAL_SEEDS,
    SEEDS,
    STORED,
    Ends,
    judge_case,
    judge_run,
    rivals_of,
    train,
)

from ravine.environment import environment

WORKERS = 2
"""Trainings at a time, each on one thread."""


def twins() -> dict[str, Setup]:
    """The distinct healthy twins, each by the name of the first case that it belongs to."""
    found: dict[str, Setup] = {}
    for case in CASES:
        if twin_of(case, found) is None:
            found[case.name] = case.healthy
    return found


def twin_of(case: Case, among: dict[str, Setup]) -> str | None:
    """The name that a case's twin goes by."""
    same = (name for name, setup in among.items() if not differences(setup, case.healthy))
    return next(same, None)


def of_fault(place: int) -> Ends:
    """Train a case's faulty setup; by number, for lambdas inside cannot be sent to a process."""
    return train(CASES[place].faulty)


def of_healthy(name: str) -> tuple[Ends, dict[str, Any]]:
    """Train a twin or a healthy run, and those that say how good it could be."""
    setup = {**twins(), **{run.name: run for run in HEALTHY}}[name]
    own = train(setup)
    return own, judge_run(own, [train(rival, RIVAL_SEEDS) for rival in rivals_of(setup)])


def label(names: list[str]) -> dict[str, Any]:
    """Train what is asked for, all of it if nothing is, and judge it."""
    known = twins()
    cases = [i for i, case in enumerate(CASES) if not names or case.name in names]
    of_case = {CASES[i].name: twin_of(CASES[i], known) for i in cases}
    runs = [run.name for run in HEALTHY if not names or run.name in names]
    with ProcessPoolExecutor(WORKERS, get_context("fork")) as pool:
        kept = sorted({name for name in of_case.values() if name is not None})
        names = [*kept, *runs]
        trained = told(pool.map(of_healthy, names), "healthy")
        healthy = dict(zip(names, trained, strict=True))
        faulty = dict(zip(of_case, told(pool.map(of_fault, cases), "faulty"), strict=True))
    return {
        "cases": {
            name: _case(name, ends, *healthy[str(of_case[name])]) for name, ends in faulty.items()
        },
        "healthy": {name: _run(name, *healthy[name]) for name in runs},
    }


def told(results: Iterable[Any], what: str) -> Iterable[Any]:
    """The results, and a line for every ten of them."""
    begun = time.perf_counter()
    for count, result in enumerate(results, start=1):
        if count % 10 == 0:
            print(f"{count} {what}, {time.perf_counter() - begun:.0f} s", flush=True)
        yield result


def _case(name: str, faulty: Ends, healthy: Ends, judged: dict[str, Any]) -> dict[str, Any]:
    case = next(case for case in CASES if case.name == name)
    return {
        "setup": described(case.faulty),
        "twin_setup": described(case.healthy),
        "faulty": faulty.trained,
        "twin": healthy.trained,
        "untrained": healthy.untrained,
        **judge_case(faulty, healthy),
        "twin_reached": judged["reached"],
        "twin_healthy": judged["healthy"],
    }


def _run(name: str, ends: Ends, judged: dict[str, Any]) -> dict[str, Any]:
    setup = next(run for run in HEALTHY if run.name == name)
    return {"setup": described(setup), **asdict(ends), **judged}


def merged(stored: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Old and new outcomes of the cases that there still are, in their order."""
    order = {"cases": [c.name for c in CASES], "healthy": [run.name for run in HEALTHY]}
    both = {part: {**stored.get(part, {}), **new[part]} for part in order}
    return {
        part: {n: both[part][n] for n in names if n in both[part]} for part, names in order.items()
    }


def show(found: dict[str, Any]) -> None:
    """Print the table, and what failed its label."""
    kinds = {case.name: case.kind for case in CASES}
    halves = {of.name: half(of) for of in (*CASES, *HEALTHY)}
    for name, row in found["cases"].items():
        label = "fault" if row["fault"] and row["twin_healthy"] else "NOT A FAULT"
        low, high = row["ci95"]
        ends = f"{_mean(row['faulty']):>10}{_mean(row['twin']):>10}"
        lost = f"lost {row['lost']:5.2f} [{low:5.2f}, {high:5.2f}]"
        reached = f"twin reached {row['twin_reached']:.3f}"
        print(f"{name:33}{kinds[name]:22}{ends}  {lost}  {reached}  {halves[name]:7}{label}")
    for name, row in found["healthy"].items():
        label = "healthy" if row["healthy"] else "NOT HEALTHY"
        reached = "-" if row["reached"] is None else f"{row['reached']:.3f}"
        print(f"{name:33}{_mean(row['trained']):>10} reached {reached} {halves[name]:7}{label}")


def _mean(values: list[float | None]) -> str:
    finite = [v for v in values if v is not None]
    lost = len(values) - len(finite)
    return (f"{sum(finite) / len(finite):.4g}" if finite else "") + (f" {lost}nan" if lost else "")


def main() -> None:
    """Label, store and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label", nargs="*", metavar="NAME", help="train, and store the outcomes")
    asked = parser.parse_args()
    begun = time.perf_counter()
    torch.set_num_threads(1)
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    if asked.label is None:
        show(stored)
        return
    now = environment("python -m benchmarks.diagnosis --label")
    if asked.label and stored["environment"]["torch"] != now["torch"]:
        parser.error(f"the others were labelled with torch {stored['environment']['torch']}")
    found = merged(stored if asked.label else {}, label(asked.label))
    show(found)
    rules = {
        "seeds": list(SEEDS),
        "rival_seeds": list(RIVAL_SEEDS),
        "margin": MARGIN,
        "reached": REACHED,
    }
    result = {"environment": now, "rules": rules, **found}
    STORED.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{time.perf_counter() - begun:.0f} s; wrote {STORED.name}")


if __name__ == "__main__":
    main()
