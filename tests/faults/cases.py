"""All cases and all healthy runs that diagnosis is set and judged on."""

from __future__ import annotations

from ravine.diagnostics.finding import KINDS
from tests.faults import cnns, mlps, recurrent, synthetic, transformers
from tests.faults.form import Case, Setup, half
from tests.faults.healthy import HEALTHY

CASES: tuple[Case, ...] = (
    *mlps.CASES,
    *cnns.CASES,
    *recurrent.CASES,
    *transformers.CASES,
    *synthetic.CASES,
)

__all__ = ["CASES", "HEALTHY", "KINDS", "Case", "Setup", "half"]
