"""How a visit spends its gradient steps: pure decisions on numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ravine.diagnostics.doctor.patient import Change
from ravine.training.pace import evaluation_steps
from ravine.training.records import Point

RUNGS = (1 / 9, 1 / 3, 8 / 9)
"""Shares of the way from the trouble to the end of the training at which changes are compared. The last
ninth hardly changes an order, and of two finalists it costs 2/9 of a training."""

FINALISTS = 2
"""Changes that are compared last, on the watched seed."""

STOOD = (1, 2, 3, 5, 8, 13)
"""Evaluations, of 27, at which the watched run is kept, to be forked there. Each one keeps a copy of
weights and state, so there are few; after half of the training there is too little left to compare
changes by."""

NOISE = 3
"""Last evaluations of the best change; another one that is as good as the worst of them is as good."""

EARNED = 0.9
"""Where another change has this share of a larger model's gain, that model is not worth it: each of its
steps takes longer."""


def kept_steps(total: int) -> list[int]:
    """Where a training of `total` steps can be forked, ascending."""
    steps = evaluation_steps(total)
    every = len(steps) // 28 or 1  # shorter trainings have fewer evaluations
    return sorted({steps[min(i * every, len(steps) - 1)] for i in STOOD})


def stops(total: int, trouble: int) -> list[int]:
    """The evaluation steps at which changes are compared, ascending.

    Args:
        total: gradient steps of the training. trouble: the step where it begins.
    """
    later = [step for step in evaluation_steps(total) if step > trouble]
    goals = [trouble + share * (total - trouble) for share in RUNGS]
    return sorted({min(later, key=lambda step: abs(step - goal)) for goal in goals})


def survivors(count: int) -> int:
    """How many of some changes go on to the next rung."""
    return min(count, max(FINALISTS, math.ceil(count / 2)))


def cost(starts: Sequence[int], at: Sequence[int]) -> int:
    """Most gradient steps that changes take which start at these steps and are compared at those."""
    spent, left, before = 0, sorted(starts), 0
    for rung, step in enumerate(at):
        if rung > 0:
            left = left[: FINALISTS if rung == len(at) - 1 else survivors(len(left))]
        spent += sum(max(0, step - max(start, before)) for start in left)
        before = step
    return spent


def affordable(starts: Sequence[int], at: Sequence[int], budget: float) -> int:
    """How many of some changes, from the first on, can be tried for a budget of gradient steps."""
    return max((n for n in range(len(starts) + 1) if cost(starts[:n], at) <= budget), default=0)


def ranks(metrics: Sequence[float], sign: int) -> list[int]:
    """Each one's place, 0 for the best; of equals the first one is better.

    Args:
        metrics: NaN or infinite where there is none: these come last.
        sign: 1 where smaller is better, else -1.
    """
    ordered = sorted(range(len(metrics)), key=lambda i: badness(metrics[i], sign))
    return [ordered.index(i) for i in range(len(metrics))]


def badness(metric: float, sign: int) -> float:
    """Lower is better."""
    return sign * metric if math.isfinite(metric) else math.inf


def ranked(
    finalists: Sequence[tuple[Change, Sequence[Point]]], untouched: float, sign: int
) -> list[Change]:
    """The changes that help, in the order in which to recommend them.

    First the smallest of those that do as well as the best one, as far as its own curve can tell: at
    last they are no worse than it was in its last `NOISE` evaluations. A larger model counts only if
    it has earned it. Then the others, by what they gain.

    Args:
        finalists: changes with their curves, trained up to one step.
        untouched: the validation metric without a change, there.
        sign: 1 where smaller is better, else -1.
    """
    start = sign * untouched
    ends = [
        (sign * curve[-1].validation_metric, change, curve)
        for change, curve in finalists
        if all(point.finite for point in curve)
    ]
    helping = sorted((end for end in ends if end[0] < start), key=lambda e: (e[0], e[1].size))
    if not helping:
        return []
    same = [end for end in helping if not end[1].grows]
    enough = bool(same) and start - same[0][0] >= EARNED * (start - helping[0][0])
    contenders = same if enough else helping
    worst = max(sign * point.validation_metric for point in contenders[0][2][-NOISE:])
    first = min((e for e in contenders if e[0] <= worst), key=lambda e: (e[1].size, e[0]))
    return [first[1], *(change for _, change, _ in helping if change is not first[1])]
