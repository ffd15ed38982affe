"""What holds for all tests of optimizers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def wide() -> Iterator[None]:
    """float64 throughout; torch then also keeps counts and NAdam's product in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
