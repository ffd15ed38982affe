"""DeepOBS's quadratic-deep again: tuned learning rates and final losses against its authors' own.

    OMP_NUM_THREADS=1 python -m benchmarks.deepobs

Run it from the repository's root. As the authors did, each of SGD, momentum (0.99) and Adam trains at
36 learning rates from 1e-5 to 1e2, five to a decade, from one seed; the rate with the lowest final
test loss is taken, and trains on ten fresh seeds. Since one seed chooses, four other ones choose as
well, to show how much of a choice is luck. All of it for examples that are shuffled once and for those
that are shuffled anew every epoch. Takes about three minutes on one core and writes
benchmarks/results/deepobs.json.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ravine import batches, rules
from ravine.batches import Order
from ravine.environment import environment
from ravine.recipes import find, load
from ravine.training.lane import Member, unheard
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.records import Trial

RESULT = Path(__file__).parent / "results" / "deepobs.json"

RATES = [10.0 ** (k / 5) for k in range(-25, 11)]
SEARCHING = range(41_000, 41_005)
FRESH = range(42_000, 42_010)
CAPACITY = 36

RULES = {"sgd": rules.sgd(), "momentum": rules.momentum(momentum=0.99), "adam": rules.adam()}
ORDERS: dict[str, Order] = {
    "shuffled once": batches.shuffled_once(),
    "shuffled every epoch": batches.shuffled(),
}


@dataclass(frozen=True)
class Published:
    """What the authors report.

    Attributes:
        rate: their tuned learning rate.
        loss: the mean final test loss of their ten seeds, to two digits.
        runs: final test losses of single seeds, out of the logs of these runs.
    """

    rate: float
    loss: float
    runs: dict[int, float]


PUBLISHED = {
    "sgd": Published(10**-1.8, 87.40, {46: 87.51817, 48: 87.16471, 50: 87.59066}),
    "momentum": Published(10**-2.6, 87.05, {44: 87.02500, 49: 87.07139}),
    "adam": Published(10**-1.4, 87.11, {44: 87.06753, 46: 87.12283, 47: 87.12172}),
}
"""Schneider, Balles & Hennig, "DeepOBS: A Deep Learning Optimizer Benchmark Suite", ICLR 2019, table of
baselines; and the folder baselines/quadratic_deep of the suite's first release. Within one of these
logs the training costs of an epoch's seven minibatches come back in the same order every epoch: their
examples were shuffled once."""


@dataclass(frozen=True)
class Row:
    """One optimizer under one order of examples.

    Attributes:
        order, optimizer: which.
        rate: with the lowest final test loss from the first seed.
        chosen: rate -> how many of five seeds choose it.
        losses: at that rate, on fresh seeds; mean and ci95: of these.
        published_rate, published_loss: what the authors report.
        same_rate: whether their rate is the one chosen, or one of those that some seed chooses.
        same_loss: whether 0 lies in the 95% interval of the difference of both means.
        at_published, same_at_published: the mean loss at their rate, on the same fresh seeds; and
            whether 0 lies in the interval there.
    """

    order: str
    optimizer: str
    rate: float
    chosen: dict[str, int]
    losses: list[float]
    mean: float
    ci95: tuple[float, float]
    published_rate: float
    published_loss: float
    same_rate: str
    same_loss: bool
    at_published: float
    same_at_published: bool


def final_losses(order: Order, trials: Sequence[Trial]) -> dict[tuple[str, float, int], float]:
    """(optimizer, rate, seed) -> the test loss at the end; infinite where it diverged."""
    problem = load(find("quadratic-deep"))
    procedures = {n: Procedure(n, r.title, r, order=order) for n, r in RULES.items()}
    lane = PopulationLane(problem, procedures, CAPACITY, compiled=False)
    members = [Member.new(trial) for trial in trials]
    found = {}
    for chunk in lane.chunks(members):
        for member in lane.train(chunk, problem.steps, unheard):
            run = member.run
            loss = math.inf if run.diverged_at is not None else run.curve[-1].validation_cost
            found[run.trial.procedure, run.trial.lr, run.trial.seed] = loss
    return found


def trials_of(name: str, rates: Sequence[float], seeds: Sequence[int]) -> list[Trial]:
    """A trial for each rate and seed."""
    hyper = RULES[name].defaults
    return [Trial(name, {**hyper, "lr": rate}, seed) for rate in rates for seed in seeds]


def measured(label: str, order: Order) -> list[Row]:
    """Search, then train afresh; a row for each optimizer."""
    searched = final_losses(order, [t for n in RULES for t in trials_of(n, RATES, SEARCHING)])
    best = {
        name: [min(RATES, key=lambda r, s=s, n=name: searched[n, r, s]) for s in SEARCHING]
        for name in RULES
    }
    rates = {name: sorted({best[name][0], _nearest(PUBLISHED[name].rate)}) for name in RULES}
    fresh = final_losses(order, [t for n in RULES for t in trials_of(n, rates[n], FRESH)])
    return [
        _row(label, name, best[name], {r: [fresh[name, r, s] for s in FRESH] for r in rates[name]})
        for name in RULES
    ]


def _row(label: str, name: str, best: Sequence[float], fresh: dict[float, list[float]]) -> Row:
    rate, theirs = best[0], PUBLISHED[name]
    rate, theirs = best[0], PUBLISHED[name]
    published = _nearest(theirs.rate)
    mean, reach = _mean(fresh[rate])
    there, reach_there = _mean(fresh[published])
    same = "the same" if rate == published else "of another seed" if published in best else "no"
    return Row(
        order=label,
        optimizer=name,
        rate=rate,
        chosen={f"{r:.3g}": best.count(r) for r in sorted(set(best))},
        losses=fresh[rate],
        mean=mean,
        ci95=(mean - reach, mean + reach),
        published_rate=theirs.rate,
        published_loss=theirs.loss,
        same_rate=same,
        same_loss=_same(mean, reach, theirs.loss),
        at_published=there,
        same_at_published=_same(there, reach_there, theirs.loss),
    )


def _mean(losses: Sequence[float]) -> tuple[float, float]:
    """The mean over seeds, and half of its 95% interval."""
    reach = float(stats.t.ppf(0.975, len(losses) - 1)) * float(stats.sem(losses))
    return float(np.mean(losses)), reach


def _same(mean: float, reach: float, theirs: float) -> bool:
    """Theirs is a mean of ten seeds as well, of the same spread, rounded to 0.01."""
    return abs(mean - theirs) - 0.005 <= math.sqrt(2) * reach


def _nearest(rate: float) -> float:
    return min(RATES, key=lambda r: abs(math.log(r / rate)))


def show(row: Row) -> str:
    """One line of the table."""
    lo, hi = row.ci95
    return (
        f"{row.order:22}{row.optimizer:10}{row.rate:9.3g}{row.published_rate:9.3g}  "
        f"{row.same_rate:16}{row.mean:8.3f} [{lo:.3f}, {hi:.3f}]{row.published_loss:7.2f}  "
        f"{'agrees' if row.same_loss else 'differs':9}at theirs{row.at_published:8.3f} "
        f"{'agrees' if row.same_at_published else 'differs':9}{row.chosen}"
    )


def main() -> None:
    """Measure, print the table, store it."""
    began = time.perf_counter()
    rows = [row for label, order in ORDERS.items() for row in measured(label, order)]
    print("\n".join(map(show, rows)))
    seconds = time.perf_counter() - began
    stored: dict[str, Any] = {
        "environment": environment("python -m benchmarks.deepobs"),
        "seconds": round(seconds),
        "published": {name: asdict(of) for name, of in PUBLISHED.items()},
        "rows": [asdict(row) for row in rows],
    }
    RESULT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
