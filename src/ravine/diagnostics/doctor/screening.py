"""Changes compared on the watched seed, by successive halving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ravine.diagnostics.doctor.courses import (
    Course,
    Purse,
    Stage,
    begun,
    side_by_side,
    stood_before,
    trained,
    unannounced,
    untouched,
)
from ravine.diagnostics.doctor.patient import Change, Patient, both
from ravine.diagnostics.doctor.prescription import Attempt
from ravine.diagnostics.doctor.rungs import (
    FINALISTS,
    affordable,
    badness,
    cost,
    ranked,
    ranks,
    stops,
    survivors,
)
from ravine.diagnostics.watch.member import Watched


@dataclass(frozen=True)
class Screening:
    """What changes are compared with, and on what terms.

    Attributes:
        patient: without changes. seed: of the watched run. watched: that run.
        lane: as for `visit`.
        purse: what was spent so far, and is spent here.
        budget: gradient steps that may be spent when it is over.
        stage: hears of its beginning.
    """

    patient: Patient
    seed: int
    watched: Watched
    lane: str
    purse: Purse
    budget: float
    stage: Stage = unannounced

    @property
    def total(self) -> int:
        """Gradient steps of a training."""
        return self.watched.run.curve[-1].step

    @property
    def sign(self) -> int:
        """1 where a smaller metric is better, else -1."""
        return -1 if self.patient.recipe.maximize else 1

    def of(self, changes: Sequence[tuple[Change, int]]) -> tuple[list[Attempt], list[Change]]:
        """Try changes, the likeliest first, as many as the budget pays for.

        Args:
            changes: each with the step where the trouble begins that it is for.

        Returns:
            What they came to, those that went on longest first, and the ones that help, the one to
            recommend first.
        """
        trouble = stood_before(self.watched, changes[0][1])
        at = stops(self.total, 0 if trouble is None else trouble.step)
        # none later than the first, which the steps to compare at go by
        first = changes[0][1]
        courses = [self._begun(change, min(step, first)) for change, step in changes]
        usable = [course for course in courses if course.failure is None]
        count = affordable([course.since for course in usable], at, self.left)
        self.stage(f"trying {count} changes", cost([c.since for c in usable[:count]], at))
        tried = side_by_side(usable[:count], self.patient, self.lane, self.purse.spend)
        finalists, attempts = self._halved(tried, at)
        attempts += [self._attempt(course, 0) for course in courses if course.failure is not None]
        ends = [(c.change, c.member.run.curve) for c in finalists if c.failure is None]
        return attempts, ranked(ends, untouched(self.watched, at[-1]), self.sign)

    @property
    def left(self) -> float:
        """Gradient steps that may still be spent."""
        return self.budget - self.purse.spent

    def _begun(self, change: Change, step: int) -> Course:
        return begun(self.patient, change, self.seed, self.watched, step)

    def _halved(
        self, courses: Sequence[Course], at: Sequence[int]
    ) -> tuple[list[Course], list[Attempt]]:
        """Train to each step in turn, where the better half goes on; the last ones, the best first,
        and what all came to."""
        left, attempts = list(courses), list[Attempt]()
        for step in at[:-1]:
            left = self._in_order(trained(left, step, self.purse.spend), step, True)
            out = left[survivors(len(left)) :]
            attempts = [*(self._attempt(course, step) for course in out), *attempts]
            left = left[: survivors(len(left))]
        out = left[FINALISTS:]
        attempts = [*(self._attempt(course, course.member.step) for course in out), *attempts]
        left = [*left[:FINALISTS], *self._together(left[:FINALISTS], at)]
        left = self._in_order(trained(left, at[-1], self.purse.spend), at[-1], False)
        return left, [*(self._attempt(course, at[-1]) for course in left), *attempts]

    def _in_order(self, courses: Sequence[Course], step: int, on_the_way: bool) -> list[Course]:
        """By the metric; on the way to the end by the cost, too, which shows sooner what learns. Of
        the two places that a change has the better one counts."""
        own = self.patient.recipe.cost
        costs = [c.cost(step) if c.problem.recipe.cost is own else float("nan") for c in courses]
        metrics = [course.metric(step) for course in courses]
        by_metric, by_cost = ranks(metrics, self.sign), ranks(costs, 1)
        places = [
            (min(by_metric[i], by_cost[i]) if on_the_way else 0, by_metric[i])
            for i in range(len(courses))
        ]
        return [courses[i] for i in sorted(range(len(courses)), key=places.__getitem__)]

    def _together(self, pair: Sequence[Course], at: Sequence[int]) -> list[Course]:
        """The best two changes at once, where both gain and the budget pays for a third finalist."""
        if len(pair) < FINALISTS or len(at) < 2:
            return []
        without = badness(untouched(self.watched, at[-2]), self.sign)
        if any(badness(course.metric(at[-2]), self.sign) >= without for course in pair):
            return []
        one, other = pair
        course = self._begun(both(one.change, other.change), min(one.since, other.since))
        needed = sum(at[-1] - c.member.step for c in (one, other, course))
        return [course] if course.failure is None and needed <= self.left else []

    def _attempt(self, course: Course, step: int) -> Attempt:
        return Attempt(
            change=course.change,
            metric=course.metric(step),
            failure=course.failure,
            since=course.since,
            until=step,
            untouched=untouched(self.watched, step),
        )
