"""What a verdict costs, in gradient steps, against training every rate with every seed in full."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping

import numpy as np

from ravine import compare, rules
from ravine.comparison import statistics
from ravine.comparison.protocol import seeds_of
from ravine.recipes import find, load
from ravine.training.lane import Lane, Member, unheard
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.records import Trial

FRESH = seeds_of(7)[1]
"""Seeds that neither the comparison nor the grid has seen."""

Metrics = Mapping[tuple[str, float, int], float]
"""(optimizer, learning rate, seed) -> the validation metric at the end."""


def cost_of_a_verdict() -> dict[str, object]:
    """Gradient steps of `ravine compare digits-mlp` and of the full grid, and what each chose.

    The grid trains every rate that the comparison tried in full: with every seed that it used
    (`share`), or, to choose rates only, with the selection seeds (`share_of_selection`). The
    difference is of the validation metric on fresh seeds, of the rates that the comparison chose
    minus those that the grid of all seeds chose, mean over optimizers, with a 95% interval over seeds.
    """
    problem = load(find("digits-mlp"))
    with tempfile.TemporaryDirectory() as folder:
        verdict = compare("digits-mlp", out=f"{folder}/run")
    names = [arm.name for arm in verdict.arms]
    procedures = {name: Procedure.of(rules.get(name)) for name in names}
    lane = PopulationLane(problem, procedures, 64)
    seeds = [*verdict.selection_seeds, *verdict.final_seeds]
    rates = {arm.name: [row.lr for row in arm.rates] for arm in verdict.arms}
    grid = _trained(
        lane, [(name, lr, seed) for name in names for lr in rates[name] for seed in seeds]
    )
    of_grid = {
        name: min(rates[name], key=lambda lr: np.mean([grid[name, lr, seed] for seed in seeds]))
        for name in names
    }
    ours = {arm.name: arm.lr for arm in verdict.arms}
    fresh = _trained(
        lane, {(name, of[name], seed) for of in (ours, of_grid) for name in names for seed in FRESH}
    )
    difference = [
        np.mean([fresh[n, ours[n], seed] - fresh[n, of_grid[n], seed] for n in names])
        for seed in FRESH
    ]
    found = statistics.interval(difference)
    tried = sum(map(len, rates.values()))
    selection = sum(arm.gradient_steps for arm in verdict.arms)
    steps = selection + len(names) * len(verdict.final_seeds) * problem.steps
    full = tried * len(seeds) * problem.steps
    return {
        "steps": steps,
        "steps_of_grid": full,
        "share": round(steps / full, 3),
        "share_of_selection": round(
            selection / (tried * len(verdict.selection_seeds) * problem.steps), 3
        ),
        "chosen": {name: {"comparison": ours[name], "grid": of_grid[name]} for name in names},
        "difference": {"mean": found.mean, "interval": [found.lo, found.hi], "seeds": len(FRESH)},
    }


def _trained(lane: Lane, wanted: Iterable[tuple[str, float, int]]) -> Metrics:
    """What diverged counts as the worst value there is."""
    members = [Member.new(lane.procedures[name].trial(lr, seed)) for name, lr, seed in wanted]
    done = [
        member.run
        for chunk in lane.chunks(members)
        for member in lane.train(chunk, lane.problem.steps, unheard)
    ]
    return {
        _key(run.trial): 1.0 if run.diverged_at is not None else run.curve[-1].validation_metric
        for run in done
    }


def _key(trial: Trial) -> tuple[str, float, int]:
    return trial.procedure, trial.lr, trial.seed
