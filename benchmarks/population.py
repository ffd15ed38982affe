"""Member-steps per second: the population lane against a serial PyTorch loop with torch's fused Adam.

Both train the same members on the same data in one process, in turns, so that the machine's moods
fall on both alike. Compiling is not counted: it is paid once and printed apart. Writes
results/population.json.

    python benchmarks/population.py [--members 64] [--turns 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ravine import rules
from ravine.environment import environment
from ravine.recipes import Problem, Recipe, load
from ravine.recipes.digits import mlp
from ravine.seeds import generator
from ravine.training.choose import choose
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.records import Trial

PROCEDURES = {"adam": Procedure.of(rules.adam())}
TURN_SECONDS = 1.0


def images(name: str, model: Callable[[], nn.Module], batch_size: int = 32) -> Recipe:
    """MNIST's shapes with random pixels: the speed does not depend on what they show."""
    inputs = torch.randn(4096, 784, generator=generator("pixels"))
    targets = torch.randint(10, (4096,), generator=generator("labels"))
    part = (inputs[:128], targets[:128])
    return Recipe(
        name, model, F.cross_entropy, (inputs, targets), part, batch_size=batch_size, steps=1000
    )


def wide() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )


CASES = {
    "digits-mlp, batch 32": mlp,
    "digits-mlp, batch 128": lambda: replace(mlp(), batch_size=128),
    "softmax 784-10, batch 32": lambda: images("softmax", lambda: nn.Linear(784, 10)),
    "MLP 784-128-128-10, batch 32": lambda: images("wide", wide),
}


class Serial:
    """The loop that one writes by hand: one model after the other, fused Adam, data in memory."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._model = problem.recipe.model()
        self._optimizer = torch.optim.Adam(self._model.parameters(), fused=True)

    def run(self, steps: int) -> None:
        train, cost = self._problem.train, self._problem.recipe.cost
        for batch in (
            torch.randperm(len(train))
            .repeat(99)[: steps * self._problem.batch_size]
            .split(self._problem.batch_size)
        ):
            self._optimizer.zero_grad()
            cost(self._model(train.inputs[batch]), train.targets[batch]).backward()
            self._optimizer.step()


def serial_rate(serial: Serial) -> float:
    """Steps per second over one turn."""
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < TURN_SECONDS:
        serial.run(20)
        steps += 20
    return steps / (time.perf_counter() - start)


def population_rate(lane: PopulationLane, trials: list[Trial], steps: int) -> float:
    """Member-steps per second over one turn."""
    return 1 / lane.seconds_per_step(trials, steps)


def measure(problem: Problem, members: int, turns: int) -> dict[str, object]:
    trials = [Trial("adam", {**PROCEDURES["adam"].rule.defaults}, seed) for seed in range(members)]
    lane = PopulationLane(problem, PROCEDURES, members)
    start = time.perf_counter()
    lane.seconds_per_step(trials, 1)
    cold = time.perf_counter() - start
    steps = max(2, int(TURN_SECONDS / 2 / (members * lane.seconds_per_step(trials, 2))))
    serial = Serial(problem)
    serial.run(50)
    pairs = [(serial_rate(serial), population_rate(lane, trials, steps)) for _ in range(turns)]
    ratios = [population / alone for alone, population in pairs]
    choice = choose(problem, PROCEDURES, trials, "auto", members, work=10**7)
    return {
        "serial_per_second": round(statistics.median(alone for alone, _ in pairs)),
        "population_per_second": round(statistics.median(population for _, population in pairs)),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_lowest": round(min(ratios), 2),
        "ratio_highest": round(max(ratios), 2),
        "seconds_to_first_step": round(cold, 1),
        "auto": f"{choice.lane.name}: {choice.reason}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    results = {}
    for name, recipe in CASES.items():
        results[name] = row = measure(load(recipe()), arguments.members, arguments.turns)
        print(
            f"{name:30} serial {row['serial_per_second']:>7,}/s   "
            f"population {row['population_per_second']:>8,}/s   "
            f"{row['ratio']:>5} times [{row['ratio_lowest']}, {row['ratio_highest']}]   "
            f"auto takes {row['auto']}",
            flush=True,
        )
    written = {"environment": environment(None), "members": arguments.members, "results": results}
    path = Path(__file__).parent / "results" / "population.json"
    path.write_text(json.dumps(written, indent=2) + "\n")
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
