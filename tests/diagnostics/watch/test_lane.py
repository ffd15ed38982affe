"""The serial lane watched: the same run, with readings."""

from __future__ import annotations

import pytest
import torch

from ravine.diagnostics.watch.recorder import BUDGET
from ravine.diagnostics.watch.watcher import Watcher
from ravine.training.lane import Member
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.diagnostics.watch.test_watching import Curvature
from tests.problems import digits_problem, noisy, plain


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "lamb"])
def test_a_watched_member_is_the_member(name):
    problem = digits_problem(noisy)
    lane = SerialLane(problem, plain(name))
    member = Member.new(Trial(name, lane.procedures[name].rule.defaults, 3))
    (alone,) = lane.train([member], 27, lambda steps: None)
    watchers: list[Watcher] = []

    def observe(model, params, rates):
        watchers.append(Watcher(model, params, rates, [Curvature()], BUDGET))
        return watchers[-1]

    watched = lane.train_observed(member, 27, lambda steps: None, observe)
    assert watched.run == alone.run
    for ours, theirs in zip(watched.snapshot["weights"], alone.snapshot["weights"], strict=True):
        assert torch.equal(ours, theirs)
    history = watchers[0].history
    assert len(history.series("gHg")) >= 5
    metrics = [point.validation_metric for point in alone.run.curve]
    assert history.series("validation_metric").values == metrics
    assert len(history.series("loss")) == 27
