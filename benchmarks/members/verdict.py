"""What a verdict costs, in gradient steps, against training every rate with every seed in full."""

from __future__ import annotations

import tempfile
from statistics import mean

import numpy as np

from ravine import compare
from ravine.comparison import statistics
from ravine.comparison.protocol import seeds_of
from ravine.recipes import find, load
from ravine.training.fit import fit

FRESH = seeds_of(7)[1]
"""Seeds that neither the comparison nor the grid has seen."""


def cost_of_a_verdict() -> dict[str, object]:
    """Gradient steps of `ravine compare digits-mlp` and of the full grid, and what each chose.

    The grid trains every rate that the comparison tried with every seed that it used, in full. The
    difference is of the last validation metric on fresh seeds, of the rate that the comparison
    chose minus the grid's, mean over optimizers, with a 95% interval over seeds.
    """
    problem = load(find("digits-mlp"))
    with tempfile.TemporaryDirectory() as folder:
        verdict = compare("digits-mlp", out=folder)
    seeds = [*verdict.seeds["selection"], *verdict.seeds["final"]]
    taken = sum(arm.gradient_steps for arm in verdict.arms)
    taken += len(verdict.arms) * len(verdict.seeds["final"]) * problem.steps
    full, chosen, differences = 0, {}, []
    for arm in verdict.arms:
        rates = [row.lr for row in arm.lrs]
        full += len(rates) * len(seeds) * problem.steps
        of_grid = min(rates, key=lambda lr: _metric(problem, arm.optimizer, lr, seeds).mean())
        chosen[arm.optimizer] = {"comparison": arm.lr, "grid": of_grid}
        ours, theirs = (_metric(problem, arm.optimizer, lr, FRESH) for lr in (arm.lr, of_grid))
        differences.append(ours - theirs)
    difference = np.mean(differences, axis=0)
    found = statistics.interval(difference) if difference.any() else None
    return {
        "steps": taken,
        "steps_of_grid": full,
        "share": round(taken / full, 3),
        "chosen": chosen,
        "difference": {
            "mean": mean(difference.tolist()),
            "interval": None if found is None else [float(end) for end in found.ends],
            "seeds": len(FRESH),
        },
    }


def _metric(problem: object, optimizer: str, lr: float, seeds: object) -> np.ndarray:
    """The last validation metric of each seed; what diverged counts as the worst."""
    found = [
        fitted.run.curve[-1].validation_metric for fitted in fit(problem, optimizer, lr, seeds)
    ]
    return np.nan_to_num(np.asarray(found), nan=1.0, posinf=1.0)
