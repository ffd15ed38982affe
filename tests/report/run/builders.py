"""Runs made by hand, for tests that work the words of their report out on paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from ravine.diagnostics.doctor.patient import Change
from ravine.diagnostics.doctor.prescription import Attempt, Prescription, Proof
from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Name
from ravine.diagnostics.landscape import Slice
from ravine.diagnostics.watch.recorder import Account
from ravine.report.run import RunRecord
from ravine.training.records import Point, Run, Trial

NAN, INF = math.nan, math.inf

Readings = Mapping[str, Mapping[int, float]]
"""Quantity, or "quantity@place", -> step -> value."""


def history(readings: Readings) -> History:
    made = History()
    for name, values in readings.items():
        quantity, _, place = name.partition("@")
        for step, value in values.items():
            made.add(step, {Name(quantity, place): value})
    return made


def record(readings: Readings | None = None, **changes) -> RunRecord:
    base = RunRecord(
        title="digits with SGD",
        metric="error_rate",
        history=history(readings or {}),
        findings=(),
        facts=Facts(steps=100, batch_size=32),
    )
    return replace(base, **changes)


def finding(kind: str = "lr_too_high", step: int = 0, place: str = "") -> Finding:
    return Finding(kind, 0.9, f"Evidence of {kind}.", f"Remedy for {kind}.", step, place)


def losses(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def change(name: str) -> Change:
    return Change(name=name, code=f"{name} = 1", size=1, apply=lambda patient: patient)


LOWER = change("learning rate / 10")
"""The change that helps."""


def prescription(**changes) -> Prescription:
    """Gains of 0.3, 0.4 and 0.5 on three seeds: 0.4 ± 4.3027 · 0.1/√3, by Student's t."""
    base = Prescription(
        findings=(finding(),),
        run=Run(Trial("sgd", {"lr": 3.0}, 0), (Point(0, 2.3, 2.3, 0.9), Point(90, 2, 2, 0.8))),
        history=History(),
        screened=0.8,
        attempts=(
            Attempt(LOWER, 0.1, since=20, until=90, untouched=0.8),
            Attempt(change("clipping"), INF, since=0, until=30, untouched=0.85),
            Attempt(change("Adam"), NAN, failure="ValueError: no <b>"),
        ),
        proof=Proof(LOWER, (0.4, 0.5, 0.6), (0.1, 0.1, 0.1), maximize=False),
        gradient_steps=600,
        watching=0.0,
        metric="error_rate",
    )
    return replace(base, **changes)


SLICE = Slice(
    steps=(0, 10, 20),
    path=((-1.0, 0.5), (-0.5, 0.2), (0.0, 0.0)),
    shares=(0.7, 0.2),
    along=(2.0, 1.0, 0.5),
    a=(-1.5, -0.5, 0.5),
    b=(-0.25, 0.25, 0.75),
    costs=((4.0, 2.0, 1.0), (3.0, NAN, 0.25), (1e9, 1.5, 0.5)),
    examples=256,
)

ACCOUNTS = {
    "loss": Account(spent=0.5, measurements=100),
    "spectrum": Account(spent=1.5, measurements=2, failure="RuntimeError: no second derivative"),
    "noise": Account(),
}

STEPS = range(0, 100, 10)


def whole(**changes) -> RunRecord:
    """A run with a reading for every figure, and something found."""
    readings = {
        "loss": {step: 2.3 * 0.97**step for step in range(100)},
        "training_cost": {step: 2.3 * 0.97**step for step in STEPS},
        "validation_cost": {step: 2.3 * 0.97**step + 0.002 * step for step in STEPS},
        "validation_metric": {step: 0.9 * 0.97**step for step in STEPS},
        "gradient_norm_squared": {step: 4.0 * 0.9**step for step in STEPS},
        "gradient_curvature": {step: (-1) ** (step // 50) * 9.0 for step in STEPS},
        "gradient_term": {step: 0.4 * 0.9**step for step in STEPS},
        "curvature_term": {step: (-1) ** (step // 50) * 0.045 for step in STEPS},
        "overshoot_ratio": {step: (-1) ** (step // 50) * step / 20 for step in STEPS},
        "largest_eigenvalue": {step: 5.0 + step for step in STEPS},
        "smallest_eigenvalue": {step: -0.1 * step for step in STEPS},
        "gradient_noise_scale": {0: 10.0, 50: INF, 90: 300.0},
        "gradient_variance": {0: 10.0, 50: 200.0, 90: 400.0},
        "true_gradient_norm_squared": {0: 1.0, 50: -1.0, 90: 3.0},
    }
    for layer in range(4):
        for quantity in ("gradient_norm", "update_ratio"):
            readings[f"{quantity}@{layer}.weight"] = dict.fromkeys(STEPS, 10.0**-layer)
        readings[f"activation_std@{layer}"] = dict.fromkeys(STEPS, 1.0 + layer)
        readings[f"dead_units@{layer}"] = dict.fromkeys(STEPS, layer / 4)
        readings[f"saturated_activations@{layer}"] = dict.fromkeys(STEPS, layer / 10)
    base = record(
        readings,
        findings=(finding(step=0), finding("saddle", 40, "2.weight"), finding("plateau", 42)),
        run=Run(
            Trial("sgd", {"lr": 0.1}, 7), (Point(0, 2.3, 2.3, 0.9), Point(99, 0.1, 0.3, 0.043))
        ),
        accounts=ACCOUNTS,
        slice=SLICE,
        prescription=prescription(),
        environment={"torch": "2.13", "command": "ravine doctor digits"},
    )
    return replace(base, **changes)


def broken(**changes) -> RunRecord:
    """A run that explodes within 20 steps and goes on as NaN for 480 more."""
    losses = {s: 2.0 * 10**s if s < 20 else NAN for s in range(500)}
    readings = {
        "loss": losses,
        "training_cost": {0: 2.0, 37: NAN, 499: NAN},
        "validation_cost": {0: 2.0, 37: INF, 499: NAN},
        "validation_metric": {0: 0.9, 18: 0.8, 37: 0.9, 499: 0.9},
        "gradient_norm_squared": {0: 1.0, 5: 1e20, 19: INF, 400: NAN},
        "gradient_curvature": {0: 1.0, 5: 1e30, 19: NAN, 400: NAN},
        "gradient_term": {0: 1.0, 5: 1e20, 19: INF, 400: NAN},
        "curvature_term": {0: 1.0, 5: 1e30, 19: NAN, 400: NAN},
        "overshoot_ratio": {0: 2.0, 5: 1e10, 19: NAN, 400: NAN},
        "largest_eigenvalue": {3: NAN, 450: NAN},
        "gradient_noise_scale": {4: NAN},
        "gradient_norm@0.weight": {0: 1.0, 5: 1e10, 19: INF, 400: NAN},
        "activation_std@0": {0: 1.0, 5: NAN},
        "dead_units@0": {0: NAN, 5: NAN},
    }
    base = record(
        readings,
        findings=(finding(step=4), finding("not_finite", 499)),
        run=Run(Trial("sgd", {"lr": 9.0}, 0), (Point(0, 2, 2, 0.9), Point(499, NAN, NAN, 0.9))),
    )
    return replace(base, **changes)
