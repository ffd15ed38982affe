"""Changes of a training under way: begun, forked from the watched run, trained side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ravine.diagnostics.doctor.attempting import Failed, tried
from ravine.diagnostics.doctor.patient import Change, Patient, built
from ravine.diagnostics.watch.member import Watched
from ravine.recipes import Problem, load
from ravine.training.choose import why_not_population
from ravine.training.crossing import forked, into_population, remember_alike
from ravine.training.ending import steps_taken
from ravine.training.lane import Lane, Member, Tick, unheard
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.records import Point, Run, Trial
from ravine.training.serial import SerialLane
from ravine.training.start import starting_model

WORTH_IT = 20_000
"""Gradient steps of a screening from which on it is seen whether its changes are trained faster side
by side: to trace a model takes about a second."""

TIMED = 3
"""Steps by which that is timed, after as many to warm up."""

Spend = Callable[[int], None]
"""Hears of gradient steps taken."""

Stage = Callable[[str, int], None]
"""Hears that a part of a visit begins: what it is, and the gradient steps that it takes at most."""


def unannounced(title: str, steps: int) -> None:
    """A stage that nobody hears of."""


class Purse:
    """Gradient steps spent; `tick` hears of each sum."""

    def __init__(self, tick: Tick = unheard) -> None:
        self.spent = 0
        self._tick = tick

    def spend(self, steps: int) -> None:
        """Take some out."""
        self.spent += steps
        self._tick(steps)


def stood_before(watched: Watched, step: int) -> Member | None:
    """Where a watched training last stood before its end, up to a step; None: at its start."""
    kept = reversed(watched.stood[:-1])
    return next((member for member in kept if member.step <= step), None)


def untouched(watched: Watched, step: int) -> float:
    """Its validation metric at an evaluation step; the untrained model's after a divergence."""
    return or_untrained(metric_at(watched.run.curve, step), watched.run)


@dataclass(frozen=True)
class Course:
    """A change that is being tried.

    Attributes:
        change: what.
        patient, problem: with the change.
        member: where its training stands; forked from the watched run, it has that run's curve up to
            there.
        since: the step at which it was forked; 0: it is trained from the start.
        lane: what trains it.
        failure: why it cannot be trained, in a line; None while it can.
    """

    change: Change
    patient: Patient
    problem: Problem
    member: Member
    since: int
    lane: Lane
    failure: str | None = None

    def metric(self, step: int) -> float:
        """The validation metric at an evaluation step that it has reached; infinite where it has
        diverged by then, NaN where it failed."""
        if self.failure is not None:
            return math.nan
        return metric_at(self.member.run.curve, step)

    def cost(self, step: int) -> float:
        """The validation cost there, in the same way."""
        if self.failure is not None:
            return math.nan
        until = [point for point in self.member.run.curve if point.step <= step]
        return until[-1].validation_cost if all(p.finite for p in until) else math.inf


def metric_at(curve: Sequence[Point], step: int) -> float:
    """The validation metric at an evaluation step; infinite where the run has diverged by then."""
    until = [point for point in curve if point.step <= step]
    return until[-1].validation_metric if all(p.finite for p in until) else math.inf


def or_untrained(metric: float, run: Run) -> float:
    """A metric of a run; the untrained model's where it is none."""
    return metric if math.isfinite(metric) else run.curve[0].validation_metric


def member_of(patient: Patient, seed: int) -> Member:
    """The patient's training before its first step."""
    return Member.new(patient.procedure.trial(patient.lr, seed))


def serial(patient: Patient) -> SerialLane:
    """The patient's problem and procedure, to be trained one by one."""
    problem = load(patient.recipe)
    return SerialLane(problem, {patient.procedure.name: patient.procedure})


def begun(patient: Patient, change: Change, seed: int, watched: Watched, step: int) -> Course:
    """A change before its first step of its own.

    Args:
        patient: without the change.
        change: what to try.
        seed: of the watched run.
        watched: that run.
        step: where the trouble begins that the change is for. A change that forks starts where the
            watched run last stood up to there.
    """
    found = tried(lambda: _changed(patient, change, seed))
    if isinstance(found, Failed):
        fresh, lane = member_of(patient, seed), serial(patient)
        return Course(change, patient, lane.problem, fresh, 0, lane, found.why)
    changed, lane = found
    member = member_of(changed, seed)
    stood = stood_before(watched, step) if change.forks else None
    if stood is not None and remember_alike(patient.procedure, changed.procedure, built(patient)):
        member = forked(stood, member.run.trial)
    return Course(change, changed, lane.problem, member, member.step, lane)


def _changed(patient: Patient, change: Change, seed: int) -> tuple[Patient, SerialLane]:
    """The patient with a change, and what trains it; seen to have a starting model."""
    changed = change.apply(patient)
    # Two changes may leave the procedure's name alone; a lane of several tells them by it.
    changed = replace(changed, procedure=replace(changed.procedure, name=change.name))
    lane = serial(changed)
    starting_model(lane.problem, changed.procedure, seed)
    return changed, lane


def side_by_side(
    courses: Sequence[Course], patient: Patient, lane: str, spend: Spend
) -> list[Course]:
    """Those that leave the patient's module, data and cost alone moved to a population lane.

    Args:
        courses: before the first step of their own.
        patient: without changes.
        lane: "population": if they can be batched; "serial": never; "auto": if it is `WORTH_IT`, too,
            and faster.
        spend: hears of what the check and the timing take.
    """
    alike = [c for c in courses if c.failure is None and c.patient.recipe is patient.recipe]
    work = sum(course.problem.steps - course.since for course in alike)
    if lane == "serial" or len(alike) < 2 or (lane == "auto" and work < WORTH_IT):
        return list(courses)
    procedures: dict[str, Procedure] = {
        course.patient.procedure.name: course.patient.procedure for course in alike
    }
    trials = [course.member.run.trial for course in alike]
    problem = alike[0].problem
    spend(2 * min(3, problem.steps) * len(trials))  # what the next line takes, in both lanes
    if why_not_population(problem, procedures, trials) is not None:
        return list(courses)
    together = PopulationLane(problem, procedures, len(trials), compiled=False)
    if lane == "auto" and not _faster(together, SerialLane(problem, procedures), trials, spend):
        return list(courses)
    return [_moved(c, together) if any(c is one for one in alike) else c for c in courses]


def _faster(together: Lane, alone: Lane, trials: Sequence[Trial], spend: Spend) -> bool:
    spend(2 * 2 * TIMED * len(trials))  # to warm up, and timed; in both lanes
    seconds = [lane.seconds_per_step(trials, TIMED) for lane in (together, alone)]
    return seconds[0] < seconds[1]


def _moved(course: Course, lane: PopulationLane) -> Course:
    return replace(course, lane=lane, member=into_population(course.member, lane))


def trained(courses: Iterable[Course], until: int, spend: Spend) -> list[Course]:
    """The courses up to an evaluation step, in the order given; one forked later stays where it is."""
    courses = list(courses)
    done = {course.change.name: course for course in courses}
    for group in _groups([c for c in courses if c.failure is None and c.member.step < until]):
        done |= {course.change.name: course for course in _trained(group, until, spend)}
    return [done[course.change.name] for course in courses]


def _groups(courses: Sequence[Course]) -> list[list[Course]]:
    """Those that train together: of one population lane, from the same step on."""
    groups: dict[tuple[int, int, str], list[Course]] = {}
    for course in courses:
        alone = "" if isinstance(course.lane, PopulationLane) else course.change.name
        groups.setdefault((id(course.lane), course.member.step, alone), []).append(course)
    return list(groups.values())


def _trained(group: Sequence[Course], until: int, spend: Spend) -> list[Course]:
    done = tried(lambda: _advanced(group, until))
    if isinstance(done, Failed):
        return [replace(course, failure=done.why) for course in group]
    by_name = {member.run.trial.procedure: member for member in done}
    advanced = [replace(c, member=by_name[c.member.run.trial.procedure]) for c in group]
    for before, after in zip(group, advanced, strict=True):
        spend(_taken(after) - _taken(before))
    return advanced


def _advanced(group: Sequence[Course], until: int) -> list[Member]:
    lane, members = _lane_for(group), [course.member for course in group]
    done: list[Member] = []
    for chunk in lane.chunks(members):
        done += lane.train(chunk, until, unheard)
    return done


def _lane_for(group: Sequence[Course]) -> Lane:
    """The group's lane; a population of as many as there are, as it fills itself up with copies."""
    lane = group[0].lane
    if isinstance(lane, PopulationLane) and lane.capacity != len(group):
        return PopulationLane(lane.problem, lane.procedures, len(group), compiled=False)
    return lane


def _taken(course: Course) -> int:
    """Gradient steps that a course has behind it, the watched run's among them."""
    recipe, curve = course.problem.recipe, course.member.run.curve
    return steps_taken(curve, recipe.patience, recipe.maximize) if curve else 0
