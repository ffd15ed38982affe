"""Faults and healthy runs to judge diagnosis on; see `tests.faults.cases.half` for what became of them."""

from __future__ import annotations

from tests.faults.form import Case, Setup
from tests.faults.judged import functions, healthy, images, sequences, tables

CASES: tuple[Case, ...] = (*images.CASES, *sequences.CASES, *tables.CASES, *functions.CASES)
HEALTHY: tuple[Setup, ...] = healthy.HEALTHY
