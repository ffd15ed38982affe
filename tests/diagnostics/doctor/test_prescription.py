"""What a visit came to, in numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ravine.diagnostics.doctor.prescription import Prescription, Proof
from ravine.diagnostics.history import History
from ravine.training.records import Point, Run, Trial


def prescription(steps: int) -> Prescription:
    curve = (Point(0, 1.0, 1.0, 1.0), Point(40, 1.0, 1.0, 1.0))
    return Prescription(
        findings=(),
        run=Run(Trial("sgd", {"lr": 0.1}, 0), curve),
        history=History(),
        screened=1.0,
        attempts=(),
        proof=Proof(None, (), (), maximize=False),
        gradient_steps=steps,
        watching=10.0,
        metric="cost",
    )


@pytest.mark.parametrize(
    ("untouched", "changed", "maximize", "works"),
    [
        ((0.9, 0.8, 0.9), (0.1, 0.1, 0.2), False, True),
        ((0.1, 0.1, 0.2), (0.9, 0.8, 0.9), False, False),
        ((0.1, 0.1, 0.2), (0.9, 0.8, 0.9), True, True),
        ((0.90, 0.80, 0.90), (0.89, 0.81, 0.90), False, False),  # 0 on average
        ((), (), False, False),
    ],
)
def test_a_change_works_if_its_gain_is_shown(untouched, changed, maximize, works):
    assert Proof(None, untouched, changed, maximize).works == works


def test_the_interval_is_students_of_the_pairs():
    untouched, changed = (0.9, 0.7, 0.8), (0.1, 0.2, 0.15)
    gains = np.subtract(untouched, changed)
    expected = stats.t.interval(0.95, 2, gains.mean(), stats.sem(gains))
    assert Proof(None, untouched, changed, maximize=False).interval == pytest.approx(
        expected, rel=1e-12
    )
    turned = Proof(None, untouched, changed, maximize=True).interval
    assert turned == pytest.approx((-expected[1], -expected[0]), rel=1e-12)


def test_the_cost_is_in_trainings_and_counts_watching():
    assert prescription(steps=350).cost == (350 + 10.0) / 40
