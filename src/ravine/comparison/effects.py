"""What one dimension of a comparison does by itself: is He better than Glorot *here*? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ravine.comparison import statistics
from ravine.comparison.arms import DIMENSIONS, levels_of
from ravine.comparison.records import Effect, Level


def effects(
    arms: Sequence[str],
    parts: Mapping[str, Mapping[str, str]],
    scores: statistics.Array,
    sign: int,
) -> tuple[Effect, ...]:
    """The effect of every dimension in which arms differ, if there are two such dimensions at least.

    (Where only one differs, its effect is the verdict itself.) A level's score on a seed is the mean
    over the arms that take it, each at its own best learning rate; levels are then compared as arms
    are, paired over seeds. All combinations are compared, so every level meets the same company.

    Args:
        arms: their names.
        parts: arm -> dimension -> level.
        scores: final validation metrics, lower is better, [arms, seeds].
        sign: -1 if the metric was negated, as larger is better; else 1.
    """
    of_arms = [parts[name] for name in arms]
    known = [dimension for dimension in DIMENSIONS if dimension in of_arms[0]]
    levels = {dimension: levels_of(of_arms, dimension) for dimension in known}
    varying = [dimension for dimension, names in levels.items() if len(names) > 1]
    if len(varying) < 2:
        return ()
    return tuple(
        Effect(dimension, _levels(levels[dimension], [p[dimension] for p in of_arms], scores, sign))
        for dimension in varying
    )


def _levels(
    names: Sequence[str], taken: Sequence[str], scores: statistics.Array, sign: int
) -> tuple[Level, ...]:
    """Every level, best first."""
    means = np.array([scores[[level == name for level in taken]].mean(axis=0) for name in names])
    p_best = statistics.p_best(statistics.posterior_means(means))
    order = np.argsort(means.mean(axis=1), kind="stable")
    best = means[order[0]]
    return tuple(
        Level(
            name=names[i],
            validation=statistics.signed(statistics.interval(means[i]), sign),
            behind=statistics.interval(means[i] - best),
            p_best=float(p_best[i]),
        )
        for i in order
    )
