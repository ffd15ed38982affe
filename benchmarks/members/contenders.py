"""Who trains the members: each is told how many steps to take, and returns member-steps taken."""

from __future__ import annotations

import itertools
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from ravine import rules
from ravine.recipes import Problem
from ravine.training.choose import Choice, choose
from ravine.training.procedure import Procedure
from ravine.training.records import Trial
from ravine.training.threads import threads

PROCEDURES = {"adam": Procedure.of(rules.adam())}
RAY_SECONDS = 1.5
"""Seconds of steps of a trial under Ray Tune."""


class Serial:
    """The loop that one writes by hand: fused Adam, data in memory."""

    def __init__(self, problem: Problem, lr: float = 1e-3):
        self._problem = problem
        self._model = problem.recipe.model()
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=lr, fused=True)
        self._batches = self._shuffled()

    def _shuffled(self) -> Any:
        size = self._problem.batch_size
        while True:
            yield from torch.randperm(len(self._problem.train)).split(size)[:-1]

    def __call__(self, steps: int) -> int:
        train, cost = self._problem.train, self._problem.recipe.cost
        for batch in itertools.islice(self._batches, steps):
            self._optimizer.zero_grad()
            cost(self._model(train.inputs[batch]), train.targets[batch]).backward()
            self._optimizer.step()
        return steps


def optuna_trials(problem: Problem) -> Callable[[int], int]:
    """A study of which every trial is the serial loop at a suggested rate."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def run(steps: int) -> int:
        def objective(trial: Any) -> float:
            Serial(problem, trial.suggest_float("lr", 1e-4, 1e-2, log=True))(steps)
            return 0.0

        optuna.create_study().optimize(objective, n_trials=2)
        return 2 * steps

    return run


def start_ray() -> None:
    """Start Ray, before JAX has threads: it forks."""
    import ray

    ray.init("local", num_cpus=os.cpu_count(), include_dashboard=False, logging_level=logging.ERROR)


def ray_rate(problem: Callable[[], Problem]) -> float:
    """Member-steps per second of the serial loop under Ray Tune, a trial for each core and two
    rounds of them; starting Ray and its trials is not counted."""
    from ray import tune

    cores = os.cpu_count() or 1

    def trainable(config: dict[str, float]) -> dict[str, float]:
        torch.set_num_threads(1)
        loop = Serial(problem(), config["lr"])
        loop(20)
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < RAY_SECONDS:
            steps += loop(20)
        return {"rate": steps / (time.perf_counter() - start)}

    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"lr": tune.loguniform(1e-4, 1e-2)},
        tune_config=tune.TuneConfig(num_samples=2 * cores),
        run_config=tune.RunConfig(verbose=0, storage_path=tempfile.mkdtemp()),
    )
    return cores * statistics.mean(result.metrics["rate"] for result in tuner.fit())


class Ravine:
    """The lane that `--lane auto` takes."""

    def __init__(self, problem: Problem, members: int):
        self._trials = [Trial("adam", dict(rules.adam().defaults), seed) for seed in range(members)]
        start = time.perf_counter()
        self.choice: Choice = choose(problem, PROCEDURES, self._trials, "auto", members, work=10**7)
        self.seconds_to_choose = time.perf_counter() - start
        if self.choice.lane.name == "serial":
            self._trials = self._trials[:2]

    def rate(self, seconds: float) -> float:
        """Member-steps per second."""
        lane = self.choice.lane
        with threads(self.choice.threads):
            rough = lane.seconds_per_step(self._trials, 2) * len(self._trials)
            return 1 / lane.seconds_per_step(self._trials, max(2, int(seconds / 2 / rough)))
