"""Faults and healthy runs to judge diagnosis on; `tests.faults.cases.half` says what became of them."""

from __future__ import annotations

from tests.faults.form import Case, Setup
from tests.faults.judged import functions, healthy, images, sequences, tables

CASES: tuple[Case, ...] = (*images.CASES, *sequences.CASES, *tables.CASES, *functions.CASES)
HEALTHY: tuple[Setup, ...] = healthy.HEALTHY
