"""Which lane trains this problem fastest? Checked and timed on the problem itself, never assumed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ravine.errors import SettingError, UnknownNameError
from ravine.recipes import Problem, Split
from ravine.rules import Rule
from ravine.training.lane import Lane, Member
from ravine.training.population import PopulationLane
from ravine.training.records import Trial
from ravine.training.serial import SerialLane

LANES = ("auto", "serial", "population")

COMPILING_PAYS = 30.0
"""Seconds of training left from which on compiling is tried. It takes 10-25 s on two cores when cold,
2-4 s from inductor's cache, and makes steps 2-4 times faster."""

AGREEMENT = 1e-3
"""Largest relative difference between the lanes' costs over three steps. Rounding in float32 stays
below 1e-5; a lost buffer, or noise that is not keyed, shows as more than 1e-2."""


@dataclass(frozen=True)
class Choice:
    """The lane that will train a comparison.

    Attributes:
        lane: the lane.
        reason: why this one, in one line.
        step_seconds: optimizer -> seconds of one gradient step of one model trained alone.
    """

    lane: Lane
    reason: str
    step_seconds: Mapping[str, float]


def choose(
    problem: Problem,
    rules: Mapping[str, Rule],
    trials: Sequence[Trial],
    asked: str,
    capacity: int,
    work: int,
) -> Choice:
    """Pick the lane.

    Args:
        problem: what will be trained.
        rules: optimizer name -> rule.
        trials: trials to time with, at least one of each optimizer.
        asked: one of `LANES`.
        capacity: the most members to train together.
        work: gradient steps to come, summed over members.

    Raises:
        UnknownNameError: no such lane.
        SettingError: "population" was asked for and cannot train this problem.
    """
    if asked not in LANES:
        raise UnknownNameError.of("lane", asked, LANES, "ravine compare --help")
    serial = SerialLane(problem, rules)
    first = {name: next(t for t in trials if t.optimizer == name) for name in rules}
    alone = {name: _seconds(serial, [trial]) for name, trial in first.items()}
    if asked == "serial":
        return Choice(serial, "as asked", alone)
    obstacle = why_not_population(problem, rules, next(iter(first.values())))
    if asked == "population":
        if obstacle:
            raise SettingError(f"--lane population cannot train this recipe: {obstacle}; use auto")
        return Choice(PopulationLane(problem, rules, capacity), "as asked", alone)
    if obstacle:
        return Choice(serial, obstacle, alone)
    return _fastest(
        serial, sum(alone.values()) / len(alone), trials[:capacity], capacity, work, alone
    )


def _fastest(
    serial: SerialLane,
    seconds_alone: float,
    trials: Sequence[Trial],
    capacity: int,
    work: int,
    alone: Mapping[str, float],
) -> Choice:
    timed: list[tuple[float, Lane]] = [(seconds_alone, serial)]
    plain = PopulationLane(serial.problem, serial.rules, capacity, compiled=False)
    timed.append((_seconds(plain, trials), plain))
    if min(timed, key=_first)[0] * work > COMPILING_PAYS:
        compiled = PopulationLane(serial.problem, serial.rules, capacity)
        timed.append((_seconds(compiled, trials), compiled))
    seconds, lane = min(timed, key=_first)
    ratio = seconds_alone / seconds
    reason = (
        f"{ratio:.1f} times as fast as one by one" if lane is not serial else "fastest when timed"
    )
    return Choice(lane, reason, alone)


def _first(pair: tuple[float, Lane]) -> float:
    return pair[0]


def _seconds(lane: Lane, trials: Sequence[Trial]) -> float:
    """Seconds per member and step, from about 0.2 s of steps."""
    rough = lane.seconds_per_step(trials, 1)
    steps = int(0.1 / (rough * len(trials)))
    return rough if steps < 2 else lane.seconds_per_step(trials, min(steps, 20))


def make_lane(
    name: str, compiled: bool, problem: Problem, rules: Mapping[str, Rule], capacity: int
) -> Lane:
    """The lane of a name; `compiled` and `capacity` are for the population."""
    if name == SerialLane.name:
        return SerialLane(problem, rules)
    return PopulationLane(problem, rules, capacity, compiled)


def why_not_population(problem: Problem, rules: Mapping[str, Rule], trial: Trial) -> str | None:
    """Why the population lane cannot train a problem; None if it can.

    Two members take three steps in both lanes, on a slice of the data; their curves have to agree.
    """
    small = replace(problem, steps=3, validation=_head(problem.validation, problem.batch_size))
    members = [Member.new(replace(trial, seed=seed)) for seed in (0, 1)]
    try:
        together = PopulationLane(small, rules, 2, compiled=False).train(members, 3, _ignore)
    except Exception as error:
        return f"it cannot be vmapped ({str(error).strip().splitlines()[0][:160]})"
    serial = SerialLane(small, rules)
    alone = [serial.train([member], 3, _ignore)[0] for member in members]
    pairs = zip(together, alone, strict=True)
    if not all(_agree(a, b) for a, b in pairs):
        return "it trains differently when vmapped (state or noise that is not a buffer?)"
    return None


def _agree(a: Member, b: Member) -> bool:
    return all(
        math.isclose(x, y, rel_tol=AGREEMENT, abs_tol=1e-6) or not (math.isfinite(x + y))
        for p, q in zip(a.run.curve, b.run.curve, strict=True)
        for x, y in ((p.cost, q.cost), (p.validation_cost, q.validation_cost))
    )


def _head(split: Split, examples: int) -> Split:
    return Split(split.inputs[:examples], split.targets[:examples])


def _ignore(steps: int) -> None:
    pass
