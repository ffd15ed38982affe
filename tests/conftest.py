"""What holds for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

# The tensors here are tiny. One thread is as fast, and does not crawl when the machine is shared:
# OpenMP's threads wait for each other at every operation.
torch.set_num_threads(1)

LONGEST = (
    "distributed/test_sweep.py",
    "comparison/test_kill.py",
    "training/test_lanes.py",
    "training/test_procedures.py",
    "comparison/test_protocol.py",
    "comparison/test_store.py",
)
"""Files whose few tests take longest. They begin first: else the last of them keeps one processor busy
for a minute while the others have nothing to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest first, all others in their order."""
    here = Path(__file__).parent
    turn = {here / name: turn for turn, name in enumerate(LONGEST)}
    items.sort(key=lambda item: turn.get(item.path, len(turn)))
