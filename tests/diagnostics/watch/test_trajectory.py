"""Snapshots of a run: where, how many, of what; and the run they leave alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.diagnostics.watch.losses import Losses
from ravine.diagnostics.watch.observers import Observers
from ravine.diagnostics.watch.recorder import BUDGET
from ravine.diagnostics.watch.trajectory import MOST, Trajectory
from ravine.diagnostics.watch.watcher import Watcher
from ravine.training.lane import Member
from ravine.training.records import Point, Trial
from ravine.training.serial import SerialLane
from tests.diagnostics.watch.test_watching import Curvature
from tests.problems import digits_problem, noisy, plain


def after(steps: int, dtype: torch.dtype = torch.float64, **options: int) -> Trajectory:
    """Of a parameter that counts the steps: ten numbers, 40 bytes a snapshot."""
    theta = torch.zeros(10, dtype=dtype)
    trajectory = Trajectory({"theta": theta}, **options)
    trajectory.start()
    for _ in range(steps):
        theta += 1
        trajectory.after_step({})
    trajectory.stop()
    return trajectory


@pytest.mark.parametrize("steps", [0, 1, 5, 62, 63, 64, 65, 200, 1000, 4097])
def test_snapshots_are_evenly_spaced_from_start_to_end(steps):
    kept = [snapshot.step for snapshot in after(steps).snapshots]
    assert kept[0] == 0
    assert kept[-1] == steps
    every = 1
    while steps // every > MOST - 2:
        every *= 2
    assert kept[:-1] == list(range(0, steps, every))
    assert min(steps + 1, MOST // 2) <= len(kept) <= MOST


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_snapshot_is_a_copy_in_float32(dtype):
    for step, params in after(100, dtype).snapshots:
        assert params["theta"].dtype == torch.float32
        assert params["theta"].tolist() == [step] * 10


@pytest.mark.parametrize(("memory", "most"), [(40 * 5 + 39, 5), (40 * 3, 3), (40 * 3 - 1, 0)])
def test_memory_bounds_the_snapshots(memory, most):
    counts = [len(after(steps, memory=memory).snapshots) for steps in range(200)]
    assert max(counts) == most
    assert all(count >= most // 2 for count in counts[most:])


def test_what_is_no_longer_finite_is_not_kept():
    theta = torch.zeros(3)
    trajectory = Trajectory({"theta": theta})
    trajectory.start()
    for step in range(1, 300):
        theta[1] = float("inf") if step == 20 else step
        trajectory.after_step({})
    trajectory.stop()
    assert [snapshot.step for snapshot in trajectory.snapshots] == list(range(20))


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "lamb"])
def test_a_run_is_the_same_to_the_last_bit(name):
    problem = digits_problem(noisy)
    lane = SerialLane(problem, plain(name))
    member = Member.new(Trial(name, lane.procedures[name].rule.defaults, 3))
    (alone,) = lane.train([member], 27, lambda steps: None)
    trajectories: list[Trajectory] = []
    curves: list[Losses] = []
    watchers: list[Watcher] = []

    def observe(model: nn.Module, params, rates):
        trajectories.append(Trajectory(params))
        curves.append(Losses())
        watcher = Watcher(model, params, rates, [Curvature()], BUDGET)
        watchers.append(watcher)
        return Observers(watcher, trajectories[0], curves[0])

    observed = lane.train_observed(member, 27, lambda steps: None, observe)
    assert observed.run == alone.run
    for ours, theirs in zip(observed.snapshot["weights"], alone.snapshot["weights"], strict=True):
        assert torch.equal(ours, theirs)
    snapshots = trajectories[0].snapshots
    assert [snapshot.step for snapshot in snapshots] == list(range(28))
    last = torch.cat([param.reshape(-1) for param in snapshots[-1].params.values()])
    weights = torch.cat([weight.reshape(-1) for weight in alone.snapshot["weights"]])
    assert torch.equal(last, weights)
    heard = watchers[0].history.series("loss")
    assert (curves[0].series.steps, curves[0].series.values) == (heard.steps, heard.values)


def test_each_observer_hears_everything_in_order():
    heard: list[tuple[int, str, object]] = []

    class Listener:
        def __init__(self, number: int):
            self.number = number

        def __getattr__(self, name: str):
            return lambda *given: heard.append((self.number, name, *given))

    both = Observers(Listener(1), Listener(2))
    loss, gradients, point = torch.ones(()), {"w": torch.ones(2)}, Point(0, 1.0, 1.0, 1.0)
    both.start()
    both.before_backward(loss)
    both.before_step()
    both.after_step(gradients)
    both.evaluated(point)
    both.stop()
    said = [
        ("start",),
        ("before_backward", loss),
        ("before_step",),
        ("after_step", gradients),
        ("evaluated", point),
        ("stop",),
    ]
    assert heard == [(number, *what) for what in said for number in (1, 2)]


def test_nothing_is_kept_of_complex_parameters():
    trajectory = Trajectory({"w": torch.zeros(3, dtype=torch.complex64)})
    trajectory.start()
    for _ in range(5):
        trajectory.after_step({})
    trajectory.stop()
    assert trajectory.snapshots == []
