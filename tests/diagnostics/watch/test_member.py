"""A member trained while it is watched."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from ravine.diagnostics.findings import diagnose
from ravine.diagnostics.watch.member import train_watched
from ravine.training.lane import Member
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, noisy, plain


def test_it_is_the_same_member_and_evaluations_are_told_with_what_was_measured():
    problem = digits_problem(noisy)
    lane = SerialLane(problem, plain("adam"))
    member = Member.new(Trial("adam", lane.procedures["adam"].rule.defaults, 3))
    (alone,) = lane.train([member], problem.steps, lambda steps: None)
    told, ticks = [], []
    watched = train_watched(
        lane,
        member,
        [27, problem.steps],
        ticks.append,
        told=[lambda point, history: told.append((point, len(history.series("loss"))))],
    )
    assert watched.member.run == alone.run
    for name, ours in watched.member.snapshot["buffers"].items():
        assert torch.equal(ours, alone.snapshot["buffers"][name])
    assert [point for point, _ in told] == list(alone.run.curve)
    assert [heard for _, heard in told] == [point.step for point in alone.run.curve]
    assert sum(ticks) == problem.steps == watched.facts.steps
    assert watched.findings == diagnose(watched.history, watched.facts)
    assert watched.accounts["curvature"].measurements > 0
    (early,) = lane.train([member], 27, lambda steps: None)
    assert watched.stood[0].run == early.run
    for ours, theirs in zip(
        watched.stood[0].snapshot["weights"], early.snapshot["weights"], strict=True
    ):
        assert torch.equal(ours, theirs)
    assert sum(watched.losses.values[:27]) / 27 == pytest.approx(
        sum(point.cost * (point.step - before.step) for before, point in pairwise(early.run.curve))
        / 27,
        rel=1e-6,
    )
    assert [watched.snapshots[i].step for i in (0, -1)] == [0, problem.steps]
