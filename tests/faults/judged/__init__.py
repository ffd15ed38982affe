"""Faults and healthy runs that diagnosis is judged on: nobody who sets a threshold looks at them."""

from __future__ import annotations

from tests.faults.form import Case, Setup
from tests.faults.judged import functions, healthy, images, sequences, tables

CASES: tuple[Case, ...] = (*images.CASES, *sequences.CASES, *tables.CASES, *functions.CASES)
HEALTHY: tuple[Setup, ...] = healthy.HEALTHY
