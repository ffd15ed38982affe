"""What a larger search brings: 25 configurations of each optimizer against nine learning rates.

    OMP_NUM_THREADS=1 python benchmarks/tuning.py

Both searches choose on the same two seeds; what each chose is trained on the same 20 fresh seeds of
digits-mlp. Takes two minutes on one core and writes benchmarks/results/tuning.json: for each optimizer
what was chosen, and by how many points of error rate the larger search is better, the paired difference
with its interval.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

import ravine
from ravine.api.comparing import OPTIMIZERS
from ravine.comparison import space, statistics
from ravine.comparison.protocol import seeds_of
from ravine.environment import environment
from ravine.training.procedure import Procedure

RECIPE = "digits-mlp"
SIZES = (space.FEWEST, space.JOIN)
RESULT = Path(__file__).parent / "results" / "tuning.json"


def main() -> None:
    """Search twice, train what was chosen, and write the differences."""
    start = time.perf_counter()
    small, large = (chosen(trials) for trials in SIZES)
    before, after = (errors(hyper) for hyper in (small, large))
    gains = {name: gain(before[name] - after[name]) for name in OPTIMIZERS}
    table = {
        "environment": environment(None),
        "recipe": RECIPE,
        "trials": SIZES,
        "seeds": fresh(),
        "chosen": {name: [small[name], large[name]] for name in OPTIMIZERS},
        "gain_in_points": gains,
        "seconds": round(time.perf_counter() - start),
    }
    RESULT.write_text(json.dumps(table, indent=1) + "\n")
    for name, found in gains.items():
        print(name, found)


def fresh() -> list[int]:
    """The seeds that judge: neither search chooses on them."""
    return list(seeds_of(0)[1])


def chosen(trials: int) -> dict[str, dict[str, float]]:
    """What a search of so many configurations chooses, by optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        verdict = ravine.compare(RECIPE, out=folder, trials=trials)
    return {arm.name: dict(arm.hyper) for arm in verdict.arms}


def errors(settings: Mapping[str, Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Final validation errors on the fresh seeds, by optimizer."""
    arms = []
    for name, hyper in settings.items():
        rule = ravine.rules.get(name)
        arms.append(Procedure.of(replace(rule, defaults={**rule.defaults, **hyper})))
    fitted = ravine.fit(RECIPE, arms, seeds=fresh())
    ends = [one.run.curve[-1].validation_metric for one in fitted]
    return dict(zip(settings, np.reshape(ends, (len(arms), -1)), strict=True))


def gain(differences: np.ndarray) -> dict[str, float]:
    """Mean and 95% interval, in points of error rate."""
    found = statistics.interval(100 * differences)
    return {what: round(getattr(found, what), 3) for what in ("mean", "lo", "hi")}


if __name__ == "__main__":
    main()
