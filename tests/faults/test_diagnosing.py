"""The whole way: a fault is trained, watched and named; its twin is left alone."""

from __future__ import annotations

import pytest

from tests.faults.cases import CASES
from tests.faults.diagnosing import diagnosed

CERTAIN = ("softmax-of-one", "half-precision", "hidden-layers-frozen", "constant-start")
"""Of the half that thresholds are set on; what is read off the first steps, whatever the clock."""


@pytest.mark.parametrize("name", CERTAIN)
def test_a_fault_is_named_and_its_twin_left_alone(name):
    case = next(case for case in CASES if case.name == name)
    assert diagnosed(case.faulty, budget=0.05)[0].kind == case.kind
    assert diagnosed(case.healthy, budget=0.05) == []
