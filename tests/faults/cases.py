"""All cases and all healthy runs: those that thresholds are set on, and those that judge them."""

from __future__ import annotations

import hashlib
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

FRESH = frozenset(of.name for of in (*judged.CASES, *judged.HEALTHY))


def half(of: Case | Setup) -> Half:
    """Which half a case or a healthy run belongs to.

    Thresholds were first set on all that is not in `judged`, and judged on all that is. Then the
    tasks that a hash of their data's name picks were given to set them again: the others judge.
    """
    setup = of.healthy if isinstance(of, Case) else of
    digest = hashlib.blake2b(f"0/{data_of(setup)}".encode()).digest()
    return "judged" if of.name in FRESH and digest[0] % 2 else "set"


def data_of(setup: Setup) -> str:
    """The name of the function that makes a setup's data."""
    data = setup.recipe.keywords["data"]
    return str(getattr(data, "func", data).__name__)


__all__ = ["CASES", "HEALTHY", "KINDS", "Case", "Half", "Setup", "half"]
