"""Early stopping in the lanes: the curve ends at its best, and so do the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from ravine import metrics
from ravine.training.ending import steps_taken
from ravine.training.lane import Lane, Member, pack, unpack
from ravine.training.population import PopulationLane
from ravine.training.records import Point, Trial
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, noisy, plain

PATIENCE = 3
TRIALS = [
    Trial("adam", {"lr": lr, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}, seed)
    for lr in (0.001, 0.05, 0.3)
    for seed in (0, 1)
]
LANES = ("serial", "population")


def make(lane: str, **changes) -> Lane:
    problem = digits_problem(noisy, torch.float64, steps=81, **changes)
    if lane == "serial":
        return SerialLane(problem, plain("adam"))
    return PopulationLane(problem, plain("adam"), len(TRIALS), compiled=False)


def train(lane: Lane, members: Sequence[Member], until: int = 81) -> list[Member]:
    done = [m for c in lane.chunks(members) for m in lane.train(c, until, lambda steps: None)]
    return sorted(done, key=lambda m: (m.run.trial.lr, m.run.trial.seed))


def new() -> list[Member]:
    return [Member.new(trial) for trial in TRIALS]


def expected(
    curve: Sequence[Point], patience: int = PATIENCE
) -> tuple[list[Point], int, int | None]:
    """The curve with early stopping, the best point's index, and where it stopped; by hand."""
    points, best, waited, stopped = [curve[0]], 0, 0, None
    for index, point in enumerate(curve[1:], start=1):
        if stopped is not None:
            points.append(points[-1])
            continue
        points.append(point)
        if point.validation_metric < curve[best].validation_metric:
            best, waited = index, 0
        else:
            waited += 1
        if waited == patience:
            stopped = index
        if stopped is not None or index == len(curve) - 1:
            points[index] = curve[best]
    return points, best, stopped


@pytest.mark.parametrize("lane", LANES)
def test_curves_end_at_their_best(lane):
    free, stopping = train(make(lane), new()), train(make(lane, patience=PATIENCE), new())
    stops = set()
    for member, without in zip(stopping, free, strict=True):
        points, _, stopped = expected(without.run.curve)
        stops.add(stopped)
        for point, wanted, step in zip(member.run.curve, points, without.run.curve, strict=True):
            assert point.step == step.step
            assert point.validation_metric == wanted.validation_metric
            assert math.isclose(point.validation_cost, wanted.validation_cost, rel_tol=1e-12)
        last = without.run.curve[-1 if stopped is None else stopped].step
        assert steps_taken(member.run.curve, PATIENCE, False) == last
    assert len(stops) >= 3, "the runs should end at different times"


@pytest.mark.parametrize("lane", LANES[:2])
def test_a_run_that_never_stops_ends_at_its_best_too(lane):
    """No run waits for 26 evaluations here, and most end above their best."""
    free, patient = train(make(lane), new()), train(make(lane, patience=26), new())
    above = 0
    for member, without in zip(patient, free, strict=True):
        points, best, stopped = expected(without.run.curve, 26)
        assert stopped is None
        assert member.run.curve[:-1] == without.run.curve[:-1]
        assert member.run.curve[-1].validation_metric == points[-1].validation_metric
        above += best < len(points) - 1
    assert above >= 1


@pytest.mark.parametrize("lane", LANES)
def test_the_best_weights_are_tested(lane):
    made = make(lane, patience=PATIENCE)
    members = train(made, new())
    unstopped = make("serial")
    for member, value in zip(members, made.test(members), strict=True):
        (whole,) = train(unstopped, [Member.new(member.run.trial)])
        _, best, _ = expected(whole.run.curve)
        (there,) = train(unstopped, [Member.new(member.run.trial)], whole.run.curve[best].step)
        model, test = unstopped.module(there), made.problem.test
        with torch.no_grad():
            wanted = metrics.error_rate(model(test.inputs), test.targets).item()
        assert math.isclose(value, wanted, abs_tol=1e-9)
        ours, theirs = made.module(member).state_dict(), model.state_dict()
        for name in theirs:
            difference = (ours[name] - theirs[name]).abs().max()
            assert difference <= 1e-8 * theirs[name].abs().max(), name


@pytest.mark.parametrize("lane", LANES)
def test_a_continued_run_stops_where_an_undisturbed_one_does(lane):
    whole = train(make(lane, patience=PATIENCE), new())
    halves = train(make(lane, patience=PATIENCE), new(), 27)
    halves = [Member(m.run, unpack(pack(m.snapshot))) for m in halves]
    again = train(make(lane, patience=PATIENCE), halves)
    for member, other in zip(again, whole, strict=True):
        assert member.run.curve == other.run.curve
    lane_of = make(lane, patience=PATIENCE)
    assert lane_of.test(again) == lane_of.test(whole)


def test_a_run_that_goes_nan_keeps_its_divergence_on_record():
    broken = [Trial("adam", {**TRIALS[0].hyper, "lr": 1e300}, 0)]
    for lane in (make("serial", patience=2), make("population", patience=2)):
        (member,) = train(lane, [Member.new(trial) for trial in broken])
        assert member.run.diverged_at == 3
