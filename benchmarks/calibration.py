"""How often a comparison names a winner that is none, and how often it finds the one there is.

    python benchmarks/calibration.py

Takes under a minute and writes benchmarks/results/calibration.json.

A simulated comparison has k arms and looks at 5, 10 and 20 seeds. It stops at the first look at
which the credible set has one member (the largest P(best) reaches the level), else it is a tie.
A score is (common effect of the seed + noise of the arm) / √2: standard deviation 1, correlation
0.5 between arms, so the difference of two arms has standard deviation 1 as well. The first
`leaders` arms are equal, and better than the others by `effect` standard deviations. With one
leader, naming it is right; with several (under the null, effect 0, all arms are) every winner is a
false one. Two ways to P(best) are compared, which differ only in the random weights that they put
on seeds: ravine's posterior and the plain paired bootstrap.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ravine.comparison.statistics import LOOKS, STOP_LEVEL, interval, p_best, student_weights
from ravine.environment import environment

Array = NDArray[np.float64]
Weights = Callable[[int, int, np.random.Generator], Array]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Array]

RESULT = Path(__file__).parent / "results" / "calibration.json"
LEVELS = (0.95, STOP_LEVEL)
DRAWS = 2_000  # per look; fresh ones for each block of trials
BLOCK = 50
NULL_TRIALS, POWER_TRIALS, EXACT_TRIALS, COVERAGE_TRIALS = 4_000, 1_000, 400_000, 2_000


def bootstrap_weights(seeds: int, draws: int, generator: np.random.Generator) -> Array:
    """How often each seed is resampled, as a share: [draws, seeds]."""
    counts = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)
    return np.asarray(counts / seeds, dtype=np.float64)


METHODS: dict[str, Weights] = {"posterior": student_weights, "bootstrap": bootstrap_weights}


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return generator.standard_normal(shape)


def skewed(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return generator.standard_exponential(shape) - 1


def diverging(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal, but one run in ten diverges and is given a bad value."""
    bad = generator.random(shape) < 0.1
    return np.where(bad, 10.0, generator.standard_normal(shape))


NOISES: dict[str, Noise] = {
    "normal": normal,
    "skewed": skewed,
    "diverging": diverging,
    "coarse": normal,  # and the score rounded to half a standard deviation, as an error rate is
}


def scores(
    generator: np.random.Generator, trials: int, arms: int, leaders: int, effect: float, noise: str
) -> Array:
    """Simulated scores, [trials, arms, seeds]."""
    common = generator.standard_normal((trials, 1, LOOKS[-1]))
    own = NOISES[noise](generator, (trials, arms, LOOKS[-1]))
    table = (common + own) / np.sqrt(2)
    table[:, :leaders] -= effect
    return np.round(2 * table) / 2 if noise == "coarse" else np.asarray(table)


def beliefs(table: Array, weights: Weights, generator: np.random.Generator) -> Array:
    """P(best) at every look, [trials, looks, arms]."""
    found = np.empty((table.shape[0], len(LOOKS), table.shape[1]))
    for start in range(0, table.shape[0], BLOCK):
        block = table[start : start + BLOCK]
        for look, seeds in enumerate(LOOKS):
            seen = block[:, :, :seeds].transpose(1, 2, 0)  # [arms, seeds, trials]
            means = seen.mean(axis=1, keepdims=True)
            drawn = means + weights(seeds, DRAWS, generator) @ (seen - means)
            found[start : start + BLOCK, look] = p_best(np.moveaxis(drawn, 0, -1))
    return found


def outcomes(found: Array, level: float, leaders: int) -> dict[str, float]:
    """Share of trials that name the right winner and a false one; of all looks and of the first."""
    sure = found.max(axis=2) >= level
    stopped = sure.any(axis=1)
    look = np.where(stopped, sure.argmax(axis=1), len(LOOKS) - 1)
    true = (found.argmax(axis=2) == 0) & (leaders == 1)  # [trials, looks]
    right = stopped & true[np.arange(len(found)), look]
    return {
        "right": float(right.mean()),
        "false": float((stopped & ~right).mean()),
        "false_at_first_look": float((sure & ~true)[:, 0].mean()),
        "mean_seeds": float(np.array(LOOKS)[look].mean()),
    }


def scenario(arms: int, leaders: int, effect: float, noise: str) -> list[dict[str, Any]]:
    """Both methods at both levels on the same simulated scores."""
    key = [arms, leaders, round(10 * effect), list(NOISES).index(noise)]
    trials = NULL_TRIALS if leaders > 1 else POWER_TRIALS
    table = scores(np.random.default_rng(key), trials, arms, leaders, effect, noise)
    rows = []
    for method, weights in METHODS.items():
        found = beliefs(table, weights, np.random.default_rng([*key, 1]))
        for level in LEVELS:
            setting = {"arms": arms, "leaders": leaders, "effect": effect, "noise": noise}
            result = outcomes(found, level, leaders)
            rows.append({**setting, "method": method, "level": level, "trials": trials, **result})
    return rows


def null_by_level() -> dict[str, float]:
    """Two identical arms, P(best) in closed form (t): how often a level is reached in 3 looks."""
    differences = np.random.default_rng(7).standard_normal((EXACT_TRIALS, LOOKS[-1]))
    sure = np.zeros(EXACT_TRIALS)
    for seeds in LOOKS:
        seen = differences[:, :seeds]
        t = np.abs(seen.mean(axis=1)) / (seen.std(axis=1, ddof=1) / np.sqrt(seeds))
        sure = np.maximum(sure, stats.t.cdf(t, seeds - 1))
    return {str(level): float((sure >= level).mean()) for level in (0.95, 0.97, 0.975, 0.98, 0.99)}


def interval_coverage() -> dict[str, float]:
    """How often the 95% BCa interval of a normal metric holds the true mean, by number of seeds."""
    covered = {}
    for seeds in LOOKS:
        samples = np.random.default_rng(seeds).standard_normal((COVERAGE_TRIALS, seeds))
        found = [interval(sample) for sample in samples]
        covered[str(seeds)] = float(np.mean([i.lo <= 0 <= i.hi for i in found]))
    return covered


def show(rows: list[dict[str, Any]]) -> None:
    """Print one line per scenario, method and level."""
    columns = [name for name in rows[0] if name != "trials"]
    print(" ".join(f"{name[-10:]:>10}" for name in columns))
    for row in rows:
        print(
            " ".join(
                f"{row[name]:>10.4g}" if isinstance(row[name], float) else f"{row[name]:>10}"
                for name in columns
            )
        )


def main() -> None:
    """Run everything, print the table, write the result."""
    begun = time.perf_counter()
    plan = [(k, k, 0.0, "normal") for k in (2, 3, 6)]
    plan += [(6, 2, 2.0, "normal")]
    plan += [(2, 2, 0.0, noise) for noise in ("skewed", "diverging", "coarse")]
    plan += [(k, 1, effect, "normal") for effect in (0.5, 1.0, 2.0) for k in (2, 3, 6)]
    rows = [row for case in plan for row in scenario(*case)]
    show(rows)
    levels, coverage = null_by_level(), interval_coverage()
    print("false winners of two identical arms by level (closed form):", levels)
    print("coverage of the 95% BCa interval by seeds:", coverage)
    result = {
        "looks": LOOKS,
        "draws": DRAWS,
        "scenarios": rows,
        "false_winners_by_level_two_arms": {"trials": EXACT_TRIALS, "rates": levels},
        "interval_coverage": {"trials": COVERAGE_TRIALS, "rates": coverage},
        "environment": environment(None),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{time.perf_counter() - begun:.0f} s; wrote {RESULT.name}")


if __name__ == "__main__":
    main()
