"""Made-up recipes among several: from scores on fresh seeds and steps to the target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ravine.comparison import statistics
from ravine.comparison.records import Settings
from ravine.comparison.several.workloads import Target, Workload
from tests.report.builders import arm, verdict

TARGET = Target(0.04, named=False)
TITLES = {"sgd": "SGD", "adam": "Adam", "rmsprop": "RMSProp"}


def made(
    folder: str,
    scores: Mapping[str, Sequence[float]],
    steps: Mapping[str, float] | None = None,
    target: Target | None = TARGET,
    **changes,
) -> Workload:
    """One recipe; every step takes a millisecond, of Adam two."""
    names = list(scores)
    draws = statistics.posterior_means([scores[name] for name in names])
    p_best, beats = statistics.p_best(draws), statistics.p_beats(draws)
    steps = dict.fromkeys(names, math.inf) if steps is None else dict(steps)
    arms = [
        arm(
            name,
            TITLES.get(name, name),
            validation=statistics.interval(scores[name]),
            p_best=float(p_best[i]),
            beats={other: float(beats[i, j]) for j, other in enumerate(names) if j != i},
        )
        for i, name in enumerate(names)
    ]
    best = tuple(names[i] for i in statistics.credible_best(p_best))
    arms.sort(key=lambda each: each.validation.mean)
    answer = verdict(*arms, best=best, recipe=folder, final_seeds=tuple(range(len(scores["sgd"]))))
    return Workload(
        folder=folder,
        settings=Settings(tuple(names), 900, 0),
        verdict=replace(answer, **changes),
        scores=dict(scores),
        target=target,
        steps=steps,
        seconds={name: steps[name] * (0.002 if name == "adam" else 0.001) for name in names},
    )


def ranked(folder: str, order: Sequence[str], steps: Mapping[str, float] | None = None) -> Workload:
    """A recipe whose ranking no seed leaves in doubt, the best first."""
    jitter = 1e-4 * np.arange(5)
    names = sorted(order, key=["sgd", "adam", "rmsprop"].index)
    scores = {name: list(0.02 + 0.01 * order.index(name) + jitter) for name in names}
    return made(folder, scores, steps)
