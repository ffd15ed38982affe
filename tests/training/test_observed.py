"""The serial lane watched, and kept at several steps."""

from __future__ import annotations

import torch

from ravine.diagnostics.instruments import standard
from ravine.diagnostics.watch.watcher import Watcher
from ravine.training.lane import Member
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, noisy, plain


def test_where_it_stood_is_where_a_training_up_to_there_stands():
    """To the last bit; what comes later writes nothing into what was kept."""
    problem, procedures = digits_problem(noisy), plain("adam")
    lane = SerialLane(problem, procedures)
    member = Member.new(procedures["adam"].trial(0.01, 3))

    def observe(model, params, rates):
        return Watcher(model, params, rates, standard(), 1.0)

    stood = lane.observed(member, [2, 9, 27], lambda steps: None, observe)
    for one, until in zip(stood, [2, 9, 27], strict=True):
        (alone,) = lane.train([member], until, lambda steps: None)
        assert one.run == alone.run
        for ours, theirs in zip(one.snapshot["weights"], alone.snapshot["weights"], strict=True):
            assert torch.equal(ours, theirs)
        for ours, theirs in zip(one.snapshot["state"], alone.snapshot["state"], strict=True):
            assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
