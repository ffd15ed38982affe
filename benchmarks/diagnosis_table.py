"""Diagnosis against planted faults: right names and false alarms.

    OMP_NUM_THREADS=1 python -m benchmarks.diagnosis_table [--half set|judged] [--budget 0.05] [--seeds 1]

Run it from the repository's root. Watches every case of tests/faults and every healthy run (twins
and others) that its outcomes confirm, and counts: faults with the right name among the first two
findings, healthy runs with any finding; each with Wilson's 95% interval. Thresholds were set on the
half "set"; the other, tests/faults/judged, was written by somebody who had not seen them, and was first
looked at when they stood. What needs a data set that is not there is left out.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch
from scipy.stats import binomtest
from tests.faults import outcomes
from tests.faults.cases import CASES, HEALTHY, Case, Setup, half
from tests.faults.diagnosing import SEED, diagnosed
from tests.faults.form import differences, missing

from ravine.environment import environment

RESULTS = Path(__file__).parent / "results" / "diagnosis.json"
WORKERS = 2
Known = TypeVar("Known", Case, Setup)
FIRST = 2
"""Findings among which the right name must be."""


@dataclass(frozen=True)
class Run:
    """One training to diagnose.

    Attributes:
        name, half: of the case or of the healthy run.
        what: "fault", "twin" or "healthy". kinds: right names; none of a healthy run.
        setup: what is trained.
    """

    name: str
    half: str
    what: str
    kinds: tuple[str, ...]
    setup: Setup


def runs() -> list[Run]:
    """Faults, their distinct twins, and other healthy runs, as far as their outcomes confirm them.

    A twin of cases of both halves belongs to the half "set"."""
    known = outcomes.stored()
    faults = [c for c in _there(CASES) if known["cases"].get(c.name, {}).get("fault")]
    healthy = [run for run in _there(HEALTHY) if known["healthy"].get(run.name, {}).get("healthy")]
    found = [Run(c.name, half(c), "fault", c.kinds, c.faulty) for c in faults]
    found += [Run(c.name, half(c), "twin", (), c.healthy) for c in _with_distinct_twins()]
    return [*found, *(Run(run.name, half(run), "healthy", (), run) for run in healthy)]


def _there(every: Sequence[Known]) -> list[Known]:
    """Those whose data are on this machine."""
    return [e for e in every if not missing(e.healthy if isinstance(e, Case) else e)]


def _with_distinct_twins() -> list[Case]:
    known, kept = outcomes.stored()["cases"], []
    for case in sorted(_there(CASES), key=half, reverse=True):
        seen = any(not differences(case.healthy, other.healthy) for other in kept)
        if not seen and known.get(case.name, {}).get("twin_healthy"):
            kept.append(case)
    return kept


def findings_of(place: int, budget: float, seed: int) -> list[dict[str, Any]]:
    """Kinds, severities and evidence of a run, worst first; by number, for processes."""
    found = diagnosed(runs()[place].setup, budget, seed)
    return [{"kind": f.kind, "severity": f.severity, "evidence": f.evidence} for f in found]


def right(run: Run, found: Sequence[dict[str, Any]]) -> bool:
    """A fault named, or a healthy run left alone."""
    if run.what != "fault":
        return not found
    return any(finding["kind"] in run.kinds for finding in found[:FIRST])


def share(hits: Sequence[bool]) -> str:
    """A share with Wilson's 95% interval."""
    test = binomtest(sum(hits), len(hits))
    ci = test.proportion_ci(method="wilson")
    return f"{test.k}/{test.n} = {test.statistic:.1%} [{ci.low:.1%}, {ci.high:.1%}]"


def show(judged: list[tuple[Run, list[dict[str, Any]]]]) -> dict[str, str]:
    """Print what was missed or alarmed about, the confusion, and the shares."""
    confusion: Counter[tuple[str, str]] = Counter()
    for run, found in judged:
        first = found[0]["kind"] if found else "nothing"
        confusion[run.kinds[0] if run.kinds else "healthy", first] += 1
        if not right(run, found):
            shown = ", ".join(f"{f['kind']} {f['severity']:.2f}" for f in found[:3]) or "nothing"
            print(f"{run.what:8}{run.name:30}{'|'.join(run.kinds):44}  {shown}")
    print("\nfault -> first finding")
    for kind in dict.fromkeys(kind for kind, _ in sorted(confusion)):
        row = ", ".join(f"{f} {n}" for (k, f), n in confusion.most_common() if k == kind)
        print(f"  {kind:24}{row}")
    named = [right(run, found) for run, found in judged if run.what == "fault"]
    alarms = [bool(found) for run, found in judged if run.what != "fault"]
    shares = {"right name among the first two": share(named), "false alarms": share(alarms)}
    for what, text in shares.items():
        print(f"{what}: {text}")
    return shares


def main() -> None:
    """Watch, judge, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=["set", "judged"], help="default: both")
    parser.add_argument("--budget", type=float, default=0.05, help="share of the run's time")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--no-store", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    every = runs()
    stored: dict[str, Any] = {"budget": asked.budget, "seeds": asked.seeds}
    with ProcessPoolExecutor(WORKERS, get_context("fork")) as pool:
        for which in [asked.half] if asked.half else ["set", "judged"]:
            places = [i for i, run in enumerate(every) if run.half == which]
            judged = []
            for seed in range(SEED, SEED + asked.seeds):
                found = pool.map(partial(findings_of, budget=asked.budget, seed=seed), places)
                judged += list(zip((every[i] for i in places), found, strict=True))
            print(f"\n{which}, budget {asked.budget}, {asked.seeds} seed(s)")
            rows = [
                {"name": r.name, "what": r.what, "kinds": r.kinds, "found": f} for r, f in judged
            ]
            stored[which] = {"shares": show(judged), "runs": rows}
    if not asked.no_store:
        path = RESULTS.with_stem(f"diagnosis-{asked.budget:g}")
        path.write_text(json.dumps({"environment": environment(None), **stored}, indent=1) + "\n")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
