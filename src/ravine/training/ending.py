"""When a training ends before its last step, and what its curve shows then: early stopping.

A run that stops goes back to its best weights and stays there. So every point of its curve after the
stop, and the last point of a run that never stopped, are those of its best evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ravine.recipes import Problem
from ravine.stopping import Stop, stop
from ravine.training.records import Point


def ended(problem: Problem, curve: Sequence[Point]) -> bool:
    """Whether a run with this curve trains no further."""
    found = _stop(problem, curve)
    return found is not None and found.stopped is not None


def level(curve: Sequence[Point], step: int) -> Point:
    """The point that a run which has ended shows at a later step."""
    return replace(curve[-1], step=step)


def judged(problem: Problem, curve: Sequence[Point], latest: Point) -> tuple[Point, bool]:
    """The point to record after an evaluation, and whether its weights are to be kept as the best.

    Args:
        problem: what is trained; its recipe's `patience` decides.
        curve: the points before.
        latest: what the evaluation found.
    """
    points = [*curve, latest]
    found = _stop(problem, points)
    if found is None or found.best is None:
        return latest, False
    if found.best == len(curve):
        return latest, True
    if found.stopped is None and latest.step < problem.steps:
        return latest, False
    best = points[found.best]
    return replace(best, step=latest.step, cost=latest.cost), False


def steps_taken(curve: Sequence[Point], patience: int | None, maximize: bool) -> int:
    """Gradient steps that a run really took: those until it ended."""
    found = None if patience is None else stop(_metrics(curve), patience, maximize)
    last = found.stopped if found is not None and found.stopped is not None else -1
    return curve[last].step


def _stop(problem: Problem, curve: Sequence[Point]) -> Stop | None:
    recipe = problem.recipe
    if recipe.patience is None or not curve:
        return None
    return stop(_metrics(curve), recipe.patience, recipe.maximize)


def _metrics(curve: Sequence[Point]) -> list[float]:
    return [point.validation_metric for point in curve]
