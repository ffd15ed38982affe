"""Faults and healthy runs that diagnosis is judged on: nobody who sets a threshold looks at them."""

from __future__ import annotations

from tests.faults.form import Case, Setup

CASES: tuple[Case, ...] = ()
HEALTHY: tuple[Setup, ...] = ()
