"""What a member takes, counted by hand; and what happens when memory runs out."""

from __future__ import annotations

import math
from itertools import count

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ravine.recipes import Recipe, load
from ravine.training import room
from ravine.training.lane import Member
from ravine.training.population import PopulationLane
from tests.problems import digits_problem, mlp, plain


def test_bytes_of_a_member_are_weights_batch_and_what_backward_needs():
    x, y = torch.randn(40, 7), torch.randn(40, 5)
    problem = load(
        Recipe("r", lambda: nn.Sequential(nn.Linear(7, 300), nn.Tanh(), nn.Linear(300, 5)),
               F.mse_loss, (x, y), (x, y), batch_size=20, steps=9)
    )  # fmt: skip
    weights = 4 * (7 * 300 + 300 + 300 * 5 + 5)
    # backward needs tanh's output, the output and the target; weights and the batch are saved, too
    saved = 4 * (20 * 300 + 20 * 5 + 20 * 5 + 20 * 7 + 300 * 5)
    found = room.bytes_of_member(problem)
    least = room.COPIES * weights + 4 * 20 * 7 + room.PASSES * 4 * 20 * 300
    most = room.COPIES * weights + 4 * 40 * 7 + room.PASSES * (saved + weights + 4 * 40 * 12)
    assert least <= found <= most


def test_data_that_a_batch_is_a_slice_of_are_not_counted():
    few, many = (
        Recipe("r", mlp, F.cross_entropy, data, data, batch_size=8, steps=9)
        for data in ((torch.randn(n, 64), torch.randint(10, (n,))) for n in (100, 10_000))
    )
    assert room.bytes_of_member(load(few)) == room.bytes_of_member(load(many))


def test_larger_batches_leave_room_for_fewer():
    few = room.members_that_fit(digits_problem(mlp, batch_size=8))
    many = room.members_that_fit(digits_problem(mlp, batch_size=512))
    assert 1 < many < few


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert room.out_of_memory(error) is expected


def lane_and_members(capacity: int, members: int):
    problem = digits_problem(mlp, torch.float64, steps=27)
    arms = plain("sgd", "adam")
    trials = [arms[n].trial(0.01, seed) for seed in range(members // 2) for n in arms]
    return PopulationLane(problem, arms, capacity, compiled=False), [Member.new(t) for t in trials]


def test_out_of_memory_halves_the_population_and_goes_on(monkeypatch):
    lane, members = lane_and_members(8, 8)
    undisturbed, _ = lane_and_members(8, 8)
    real, sizes = PopulationLane._together, []

    def scarce(self, chunk, *args):
        sizes.append(len(chunk))
        if len(chunk) > 3:
            raise torch.OutOfMemoryError("no")
        return real(self, chunk, *args)

    (chunk,) = lane.chunks(members)
    monkeypatch.setattr(PopulationLane, "_together", scarce)
    done = lane.train(chunk, 9, lambda steps: None)
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert lane.capacity == 2
    done = lane.train(done, 27, lambda steps: None)  # the caller's chunk is as large as before
    monkeypatch.undo()
    expected = undisturbed.train(chunk, 27, lambda steps: None)
    for ours, theirs in zip(done, expected, strict=True):
        assert ours.run.trial == theirs.run.trial
        for point, same in zip(ours.run.curve, theirs.run.curve, strict=True):
            assert math.isclose(point.cost, same.cost, rel_tol=1e-12)


def test_other_errors_and_a_single_member_too_large_are_raised(monkeypatch):
    calls = count()

    def fails(self, *args):
        next(calls)
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(PopulationLane, "_together", fails)
    lane, members = lane_and_members(4, 4)
    with pytest.raises(RuntimeError, match="shapes"):
        lane.train(members, 27, lambda steps: None)
    assert next(calls) == 1
    monkeypatch.setattr(
        PopulationLane, "_together", lambda *_: (_ for _ in ()).throw(MemoryError("no"))
    )
    with pytest.raises(MemoryError):
        lane.train(members, 27, lambda steps: None)
    assert lane.capacity == 1


def test_parts_of_a_halved_population_stand_at_the_same_step(monkeypatch):
    """However slow the parts are, and though each looks at the clock for itself."""
    lane, members = lane_and_members(10, 10)
    undisturbed, _ = lane_and_members(10, 10)
    real, pauses = PopulationLane._together, []

    def scarce(self, chunk, until, tick, pause):
        if len(chunk) > 3:
            raise torch.OutOfMemoryError("no")
        pauses.append(pause)
        return real(self, chunk, until, tick, pause)

    (chunk,) = lane.chunks(members)
    with monkeypatch.context() as patch:
        patch.setattr(PopulationLane, "_together", scarce)
        done = lane.train(chunk, 3, lambda steps: None, pause=0.0)
        assert {member.step for member in done} == {1}  # the first evaluation
        assert pauses == [0.0, *[math.inf] * 3]
        done = lane.train(done, 3, lambda steps: None, pause=1e9)
    assert [member.run.trial for member in done] == [member.run.trial for member in chunk]
    expected = undisturbed.train(chunk, 3, lambda steps: None)
    for ours, theirs in zip(done, expected, strict=True):
        assert [p.step for p in ours.run.curve] == [p.step for p in theirs.run.curve]
        for point, same in zip(ours.run.curve, theirs.run.curve, strict=True):
            assert math.isclose(point.cost, same.cost, rel_tol=1e-12)


def test_members_at_different_steps_are_no_population():
    lane, members = lane_and_members(2, 2)
    ahead = lane.train(members[:1], 1, lambda steps: None)
    with pytest.raises(RuntimeError, match=r"stand at steps \[0, 1\]; expected one step"):
        lane.train([*ahead, members[1]], 9, lambda steps: None)
