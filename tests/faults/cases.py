"""All cases and all healthy runs: those that thresholds are set on, and those that judge them."""

from __future__ import annotations

from typing import Literal

from ravine.diagnostics.finding import KINDS
from tests.faults import cnns, healthy, judged, mlps, recurrent, synthetic, transformers
from tests.faults.form import Case, Setup

Half = Literal["set", "judged"]

CASES: tuple[Case, ...] = (
    *mlps.CASES,
    *cnns.CASES,
    *recurrent.CASES,
    *transformers.CASES,
    *synthetic.CASES,
    *judged.CASES,
)

HEALTHY: tuple[Setup, ...] = (*healthy.HEALTHY, *judged.HEALTHY)

JUDGED = frozenset(of.name for of in (*judged.CASES, *judged.HEALTHY))


def half(of: Case | Setup) -> Half:
    """Which half a case or a healthy run belongs to."""
    return "judged" if of.name in JUDGED else "set"


__all__ = ["CASES", "HEALTHY", "KINDS", "Case", "Half", "Setup", "half"]
