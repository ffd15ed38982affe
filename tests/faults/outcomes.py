"""Labels by outcome: what each training of the cases came to, over seeds, and what that makes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ravine.training.lane import Member
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.claims.statistics import interval
from tests.faults.form import Case, Setup
from tests.references import Array

STORED = Path(__file__).parent / "outcomes.json"

SEEDS = range(31_000, 31_010)
"""Each fixes start, order and noise of a fault and of its twin: they are paired."""

MARGIN = 0.1
"""A fault loses at least this share of the way from the untrained twin to the trained one."""

REACHED = 0.9
"""A healthy run goes at least this share of the way from untrained to the best known."""

RIVALS = (
    *((None, factor) for factor in (0.1, 1 / 3, 3.0, 10.0)),
    ("adam", 3e-3),
)
"""What the best known result of a recipe is looked for with, besides the run itself: its own
optimizer at other rates, and Adam from the model as built."""

RIVAL_SEEDS = SEEDS[:2]

MOST = 2.0
"""A loss of more than twice the way counts as that; so does a run that diverged."""


@dataclass(frozen=True)
class Ends:
    """Validation metric before and after training, by seed; what is not finite is None."""

    untrained: tuple[float | None, ...]
    trained: tuple[float | None, ...]


def train(setup: Setup, seeds: Sequence[int] = SEEDS) -> Ends:
    """Train a setup from each seed, one by one."""
    problem = setup.problem()
    procedure = setup.procedure(problem)
    lane = SerialLane(problem, {procedure.name: procedure})
    hyper = {**procedure.rule.defaults, "lr": setup.lr}
    members = [Member.new(Trial(procedure.name, hyper, seed)) for seed in seeds]
    done = lane.train(members, problem.steps, lambda steps: None)
    curves = [member.run.curve for member in done]
    return Ends(
        tuple(_finite(curve[0].validation_metric) for curve in curves),
        tuple(_finite(curve[-1].validation_metric) for curve in curves),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def lost(faulty: Ends, healthy: Ends) -> Array:
    """Share of the way from untrained to trained, of the twin, that the fault costs; [seeds].

    The way is the twins' mean one: a seed with a short way would count too much.
    """
    start, end = _numbers(healthy.untrained), _numbers(healthy.trained)
    shares = (_numbers(faulty.trained) - end) / np.mean(start - end)
    return np.clip(np.nan_to_num(shares, nan=MOST), -MOST, MOST)


def _numbers(values: Sequence[float | None]) -> Array:
    return np.array([math.nan if v is None else v for v in values])


def judge_case(faulty: Ends, healthy: Ends) -> dict[str, Any]:
    """Is it a fault? Paired Student interval, 95%, of the share lost."""
    shares = lost(faulty, healthy)
    low, high = interval(shares, 0.95) if np.ptp(shares) else (shares[0], shares[0])
    fault = None not in healthy.trained and bool(low >= MARGIN)
    return {"lost": float(shares.mean()), "ci95": [float(low), float(high)], "fault": fault}


def judge_run(own: Ends, rivals: Sequence[Ends]) -> dict[str, Any]:
    """Is it healthy? Means over seeds; a rival that diverged once is none."""
    means = [float(np.mean(_numbers(ends.trained))) for ends in (own, *rivals)]
    start = float(np.mean(_numbers(own.untrained)))
    best = float(np.nanmin(means)) if not all(map(math.isnan, means)) else math.nan
    reached = (start - means[0]) / (start - best) if best < start else math.nan
    healthy = None not in own.trained and reached >= REACHED
    return {"best": _finite(best), "reached": _finite(reached), "healthy": bool(healthy)}


def rivals_of(setup: Setup) -> list[Setup]:
    """The trainings among which the best known result is looked for."""
    return [
        replace(setup, lr=setup.lr * rate)
        if optimizer is None
        else replace(setup, optimizer=optimizer, lr=rate, init="as_built", schedule="constant")
        for optimizer, rate in RIVALS
    ]


@cache
def stored() -> Mapping[str, Any]:
    """What was measured."""
    found: Mapping[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return found


def of(case: Case | Setup) -> Mapping[str, Any]:
    """The stored outcome of a case or of a healthy run."""
    part = "cases" if isinstance(case, Case) else "healthy"
    found: Mapping[str, Any] = stored()[part][case.name]
    return found
