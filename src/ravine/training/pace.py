"""When a training is evaluated, and how many gradient steps its members have taken by then.

All members of a problem are evaluated at the same points of their training, which are named by the
problem's gradient steps. A procedure with minibatches of another size may take fewer or more until
then: it has a pace of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ravine.errors import SettingError
from ravine.recipes import Problem
from ravine.training.procedure import Procedure, pace_of

EVALUATIONS = 27
"""Evaluations in a full training: 27 = 3³, so that rungs at T/9 and T/3 are evaluated, too."""


def evaluation_steps(total: int) -> list[int]:
    """The steps after which a training of `total` steps is evaluated, ascending, 0 first."""
    return sorted({round(total * i / EVALUATIONS) for i in range(EVALUATIONS + 1)})


def segments(total: int, start: int, until: int, pause: float) -> Iterator[int]:
    """The evaluation steps in (start, until], as many as begin within `pause` seconds from now."""
    deadline = time.monotonic() + pause
    for step in evaluation_steps(total):
        if start < step <= until:
            yield step
            if time.monotonic() > deadline:
                return


def own_step(problem: Problem, procedure: Procedure, step: int) -> int:
    """The gradient steps that a member has taken at one of its problem's evaluation steps.

    Raises:
        SettingError: its training is too short to be evaluated as often as the problem is.
    """
    own = pace_of(problem, procedure).steps
    insist_on_evaluations(problem.steps, own)
    if own == problem.steps:
        return step
    return evaluation_steps(own)[evaluation_steps(problem.steps).index(step)]


def insist_on_evaluations(steps: int, own: int) -> None:
    """Raise SettingError unless trainings of so many gradient steps can be evaluated equally often."""
    if steps != own and min(steps, own) < EVALUATIONS:
        raise SettingError(
            f"minibatches that differ in size make trainings of {steps} and {own} gradient steps; "
            f"expected at least {EVALUATIONS} of each, to evaluate it as often: more --epochs"
        )
