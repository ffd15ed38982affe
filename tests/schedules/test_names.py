"""Schedules by name: forms, ends, and lengths as short as one step."""

from __future__ import annotations

import math
import re

import pytest

from ravine.errors import SettingError, UnknownNameError
from ravine.schedules import NAMES, cosine, join, named, warmup

LAST: dict[str, float] = {
    "constant": 1,
    "linear": 0.01,
    "cosine": 0,
    "cosine_restarts": 1,  # the next period begins
    "exponential": 0.01,
    "inverse_sqrt": 0.1,
    "inverse_time": 0.1,
    "one_cycle": 1 / 250_000,
    "polynomial": 0,
    "step": 1e-3,  # the fourth level begins
    "warmup_stable_decay": 0,
}
"""The factor of step T = 2100, the first after the training."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("front", ["", "warmup+"])
def test_every_name_ends_as_documented(name: str, front: str) -> None:
    steps = 2100
    schedule = named(front + name, steps)
    assert schedule.name == front + name
    if front:
        assert [schedule(k) for k in (0, 51, 104)] == [1 / 105, 52 / 105, 1]
        assert [schedule(105 + k) for k in range(50)] == [NAMES[name](1995)(k) for k in range(50)]
    assert schedule(steps) == pytest.approx(LAST[name], rel=1e-12)
    assert max(schedule(k) for k in range(steps)) == pytest.approx(1, rel=1e-3)
    assert all(schedule(k) > 0 for k in range(steps))


def test_milestones() -> None:
    steps = 2100
    restarts, trapezoid = named("cosine_restarts", steps), named("warmup_stable_decay", steps)
    assert [k for k in range(steps + 1) if restarts(k) == 1] == [0, 300, 900, 2100]
    level = [k for k in range(steps) if trapezoid(k) == 1]
    assert (level[0], level[-1]) == (104, 1680)
    falls = named("step", steps)
    assert [falls(k) for k in (699, 700, 1399, 1400)] == pytest.approx([1, 0.1, 0.1, 0.01])
    assert named("one_cycle", steps)(629) == 1
    assert named("warmup+cosine", steps) == join([warmup(105), cosine(1995)], [105])


@pytest.mark.parametrize("name", NAMES)
def test_short_trainings(name: str) -> None:
    least = 4 if name == "one_cycle" else 1
    for steps in range(least, 40):
        found = [named(name, steps)(k) for k in range(steps)]
        warmed = [named(f"warmup+{name}", steps + 1)(k) for k in range(steps + 1)]
        for factor in (*found, *warmed):
            assert math.isfinite(factor)
            assert 0 <= factor <= 1


def test_what_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"'cosin'; did you mean cosine.*ravine schedules"):
        named("cosin", 100)
    with pytest.raises(UnknownNameError, match=r"unknown schedule 'lineer'; did you mean linear"):
        named("warmup+lineer", 100)
    for unknown in ("warmup", "cosine+warmup", "warmup+warmup+cosine", "Cosine"):
        with pytest.raises(UnknownNameError):
            named(unknown, 100)
    for partial in ("warmup+", "", "+cosine", "warmup++cosine"):
        with pytest.raises(
            SettingError, match=rf"--schedule {re.escape(repr(partial))} has an empty"
        ):
            named(partial, 100)
    with pytest.raises(SettingError, match="steps=1; a warmup in front needs 2"):
        named("warmup+cosine", 1)
    with pytest.raises(SettingError, match="steps=0 is out of range"):
        named("cosine", 0)
    with pytest.raises(SettingError, match="one cycle needs more than"):
        named("one_cycle", 3)
