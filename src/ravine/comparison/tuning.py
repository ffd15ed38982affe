"""What tuning is worth: the best of k configurations, and the chosen one against the default. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ravine.comparison import statistics
from ravine.comparison.protocol import final_scores
from ravine.comparison.records import RateScore, Settings, Tuning
from ravine.comparison.space import JOIN, Configuration
from ravine.training.records import Run, runs_of


def begun_with(runs: Sequence[Run], trials: int) -> set[Configuration]:
    """The configurations with which the search of an arm began: what was added later is not drawn
    blindly, so it has no part in what k trials bring.

    Args:
        runs: the arm's in the selection, in the order in which they were begun.
        trials: how many there are.
    """
    return set(list(dict.fromkeys(Configuration.of(run.trial.hyper) for run in runs))[:trials])


def best_of(rates: Sequence[RateScore], maximize: bool, baseline: float) -> tuple[float, ...]:
    """Expected validation metric of the best of k = 1 ... n configurations (`statistics.best_of_k`).

    A configuration that was dropped counts with what it had reached by then, so the values for small
    k are what the search reached, and not what full trainings would; one that diverged counts as the
    untrained model, or as the worst one where that is worse.

    Args:
        rates: the arm's configurations.
        maximize: whether a larger metric is better.
        baseline: the metric of untrained models.
    """
    sign = -1 if maximize else 1
    begun = [rate.validation for rate in rates if not rate.added]
    worst = max([sign * value for value in begun if value is not None] + [sign * baseline])
    values = [worst if value is None else sign * value for value in begun]
    return tuple(float(sign * value) for value in statistics.best_of_k(values))


def gains(
    names: Sequence[str],
    final: Sequence[Run],
    defaults: Sequence[Run],
    settings: Settings,
    maximize: bool,
) -> dict[str, Tuning]:
    """What each arm gained from tuning, on the fresh seeds; empty where only the rate was searched.

    An arm without runs at its default has chosen the default itself: it gained nothing, exactly.

    Args:
        names: of the arms.
        final: runs at the chosen configurations.
        defaults: runs at the defaults, on the same seeds.
        settings: of the comparison.
        maximize: whether a larger metric is better.
    """
    if settings.trials < JOIN:
        return {}
    trained = {run.trial.procedure for run in defaults}
    # under names of their own they share one worst value with the chosen ones
    named = [
        replace(run, trial=replace(run.trial, procedure=_default(run.trial.procedure)))
        for run in defaults
    ]
    rows = [*names, *(_default(name) if name in trained else name for name in names)]
    scores = np.array(final_scores([*final, *named], rows, maximize))
    sign = -1 if maximize else 1
    found = {}
    for name, chosen, default in zip(names, scores, scores[len(names) :], strict=False):
        runs = runs_of(name, defaults)
        at_default = runs or runs_of(name, final)
        found[name] = Tuning(
            default=at_default[0].trial.hyper,
            validation=statistics.signed(statistics.interval(default), sign),
            gain=statistics.interval(default - chosen),
            diverged=sum(run.diverged_at is not None for run in at_default),
            gradient_steps=sum(run.curve[-1].step for run in runs),
        )
    return found


def _default(name: str) -> str:
    return f"{name} at its default"
