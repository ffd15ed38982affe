"""A comparison that is killed (SIGKILL) at any moment goes on where it was."""

from __future__ import annotations

import random

import pytest

from tests.disturbed import finish, kill_after, saved, start, verdict


@pytest.mark.parametrize(
    ("lane", "most_writes", "kills"), [("serial", 40, 2), ("population", 8, 1)]
)
def test_sigkill_at_random_moments(tmp_path, lane, most_writes, kills):
    """Ten kills are in benchmarks/faults.py."""
    finish(start(tmp_path / "whole", "--lane", lane))
    out, moments, seen = tmp_path / "killed", random.Random(0), []
    for _ in range(kills):
        process = start(out, "--lane", lane)
        writes, delay = moments.randint(2, most_writes), moments.uniform(0, 0.1)
        kill_after(process, out / "run.sqlite", writes, delay)
        seen.append(saved(out))
    finish(start(out, "--lane", lane))
    assert verdict(out) == verdict(tmp_path / "whole")
    end = saved(out)
    assert set(end) == set(saved(tmp_path / "whole"))
    for before in seen:
        assert before.items() <= end.items()  # what was stored was not trained again
    assert any(0 < len(before) < len(end) for before in seen), "no kill fell into the training"
