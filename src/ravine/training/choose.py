"""Which lane trains this problem fastest? Checked and timed on the problem itself, never assumed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any

import torch

from ravine.errors import SettingError, UnknownNameError, said
from ravine.recipes import Problem
from ravine.training.lane import Lane, Member, unheard
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure, pace_of
from ravine.training.records import Trial
from ravine.training.room import largest, members_that_fit
from ravine.training.serial import SerialLane
from ravine.training.threads import threads
from ravine.training.untraced import untraced

LANES = ("auto", "serial", "population")

COMPILING_PAYS = 30.0
"""Seconds of training left from which on compiling is tried. It takes 10-25 s on two cores when cold,
2-4 s from inductor's cache, and makes steps 2-4 times faster."""

THREADS_PAY = 1.2
"""Several threads are used only where they are so much faster than one. Operations on small tensors
gain nothing from them, and where another program holds a core they wait for each other: a hundred
times slower steps were seen on two cores with one busy."""

AGREEMENT = 1e-3
"""Largest relative difference between the lanes' costs over three steps. Rounding in float32 stays
below 1e-5; a lost buffer, or noise that is not keyed, shows as more than 1e-2."""


@dataclass(frozen=True)
class Choice:
    """The lane that will train a comparison.

    Attributes:
        lane: the lane.
        threads: how many threads to run it on.
        reason: why this one, in one line.
        step_seconds: procedure -> seconds of one of the problem's gradient steps of one model trained
            alone.
    """

    lane: Lane
    threads: int
    reason: str
    step_seconds: Mapping[str, float]

    def as_stored(self) -> dict[str, Any]:
        """What `lane_again` makes such a lane of."""
        return {
            "name": self.lane.name,
            "compiled": self.lane.compiled,
            "capacity": self.lane.capacity,
            "threads": self.threads,
        }


def choose(
    problem: Problem,
    procedures: Mapping[str, Procedure],
    trials: Sequence[Trial],
    asked: str,
    capacity: int,
    work: int,
) -> Choice:
    """Pick the lane.

    Args:
        problem: what will be trained.
        procedures: name -> procedure.
        trials: trials to time with, at least one of each procedure.
        asked: one of `LANES`.
        capacity: the most members to train together; fewer do where these do not fit into memory.
        work: gradient steps to come, summed over members.

    Raises:
        UnknownNameError: no such lane.
        SettingError: "population" was asked for and cannot train this problem.
    """
    check_lane(asked)
    serial = SerialLane(problem, procedures)
    first = {name: next(t for t in trials if t.procedure == name) for name in procedures}
    alone, few = _fewest_threads(serial, list(first.values()))
    with threads(few):
        each = {name: _seconds(serial, [trial]) for name, trial in first.items()}
    if asked == "serial":
        return Choice(serial, few, "as asked", each)
    capacity = min(capacity, members_that_fit(largest(problem, procedures.values())))
    obstacle = (
        "two members at once do not fit into memory"
        if capacity < 2
        else why_not_population(problem, procedures, list(first.values()))
    )
    if asked == "population":
        if obstacle:
            raise SettingError(f"--lane population cannot train this recipe: {obstacle}; use auto")
        population = PopulationLane(problem, procedures, capacity)
        return Choice(population, torch.get_num_threads(), "as asked", each)
    if obstacle:
        return Choice(serial, few, obstacle, each)
    timed: list[tuple[float, int, Lane]] = [(alone, few, serial)]
    paced = groupby(sorted(trials, key=serial.pace), serial.pace)
    some = [trial for _, alike in paced for trial in islice(alike, capacity)]
    timed += _populations(serial, some, capacity, work, alone)
    seconds, count, lane = min(timed, key=lambda row: row[0])
    reason = "fastest when timed"
    if lane is not serial:
        reason = f"{alone / seconds:.1f} times as fast as one by one"
    return Choice(lane, count, reason, each)


def _populations(
    serial: SerialLane, trials: Sequence[Trial], capacity: int, work: int, alone: float
) -> list[tuple[float, int, Lane]]:
    """Seconds per member and step, threads, and lane, of the population lanes worth timing."""
    plain = PopulationLane(serial.problem, serial.procedures, capacity, compiled=False)
    seconds, count = _fewest_threads(plain, trials)
    timed: list[tuple[float, int, Lane]] = [(seconds, count, plain)]
    if min(alone, seconds) * work > COMPILING_PAYS:
        compiled = PopulationLane(serial.problem, serial.procedures, capacity)
        try:
            timed.append((_seconds(compiled, trials), torch.get_num_threads(), compiled))
        except Exception as error:  # inductor does not know every operator
            warnings.warn(f"cannot be compiled: {said(error)[:160]}", RuntimeWarning, stacklevel=2)
    return timed


def _fewest_threads(lane: Lane, trials: Sequence[Trial]) -> tuple[float, int]:
    """Seconds per member and step, and the threads this takes: one, or all where that pays."""
    timed = {}
    for count in sorted({1, torch.get_num_threads()}):
        with threads(count):
            timed[count] = _seconds(lane, trials)
    most = max(timed)
    count = most if timed[most] * THREADS_PAY < timed[1] else 1
    return timed[count], count


def _seconds(lane: Lane, trials: Sequence[Trial]) -> float:
    """Seconds per member and step, from about 0.2 s of steps."""
    rough = lane.seconds_per_step(trials, 1)
    steps = min(int(0.1 / (rough * len(trials))), 20, lane.problem.steps)
    return rough if steps < 2 else lane.seconds_per_step(trials, steps)


def check_lane(asked: str) -> None:
    """Raise UnknownNameError unless there is a lane of this name."""
    if asked not in LANES:
        raise UnknownNameError.of("lane", asked, LANES, "ravine compare --help")


def make_lane(
    name: str,
    compiled: bool,
    problem: Problem,
    procedures: Mapping[str, Procedure],
    capacity: int,
) -> Lane:
    """The lane of a name; `compiled` and `capacity` are for the population."""
    if name == SerialLane.name:
        return SerialLane(problem, procedures)
    return PopulationLane(problem, procedures, capacity, compiled)


def lane_again(
    stored: Mapping[str, Any], problem: Problem, procedures: Mapping[str, Procedure]
) -> Lane:
    """The lane of a `Choice`, from what was stored of it. It is built on that choice's threads, since a
    population's groups follow from their number."""
    with threads(stored["threads"]):
        return make_lane(
            stored["name"], stored["compiled"], problem, procedures, stored["capacity"]
        )


def why_not_population(
    problem: Problem,
    procedures: Mapping[str, Procedure],
    trials: Sequence[Trial],
) -> str | None:
    """Why the population lane cannot train a problem; None if it can.

    A traced graph takes parameters and buffers, and nothing else: what else a step changes or depends
    on is looked for (see `untraced`), since its effect may show late. Then members of each procedure,
    two at least, with seeds of their own, take three steps in both lanes, on a slice of the data;
    their curves have to agree.

    Args:
        problem, procedures: what will be trained.
        trials: one for each procedure.
    """
    by_pace = {pace_of(problem, procedures[trial.procedure]): trial for trial in trials}
    for size in sorted({pace.batch_size for pace in by_pace}):
        if found := untraced(problem.resized(size)):
            return found
    steps = min(3, problem.steps)
    first = problem.validation.first(problem.batch_size)
    small = replace(problem, steps=steps, in_epochs=False, validation=first)
    seeded = enumerate([*trials, *by_pace.values()])
    members = [Member.new(replace(trial, seed=seed)) for seed, trial in seeded]
    lane = PopulationLane(small, procedures, max(2, len(members)), compiled=False)
    chunks = lane.chunks(members)
    try:
        together = [member for chunk in chunks for member in lane.train(chunk, steps, unheard)]
    except Exception as error:
        return f"it cannot be vmapped ({said(error)[:160]})"
    serial = SerialLane(small, procedures)
    alone = [serial.train([m], steps, unheard)[0] for chunk in chunks for m in chunk]
    pairs = zip(together, alone, strict=True)
    if not all(_agree(a, b) for a, b in pairs):
        return "it trains differently when vmapped (state or noise that is not a buffer?)"
    return None


def _agree(a: Member, b: Member) -> bool:
    return all(
        math.isclose(x, y, rel_tol=AGREEMENT, abs_tol=1e-6)
        or not (math.isfinite(x) or math.isfinite(y))
        for p, q in zip(a.run.curve, b.run.curve, strict=True)
        for x, y in ((p.cost, q.cost), (p.validation_cost, q.validation_cost))
    )
