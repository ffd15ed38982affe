"""The comparison: many runs -> a verdict, following the protocol (docs/protocol.md) in its order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

from ravine.comparison import search, space, statistics
from ravine.comparison.progress import Progress
from ravine.comparison.records import Settings
from ravine.comparison.search import WORST, Score
from ravine.comparison.space import Configuration
from ravine.comparison.store import Store
from ravine.recipes import Problem
from ravine.training.executor import Executor
from ravine.training.lane import Lane, Member
from ravine.training.pace import evaluation_steps
from ravine.training.procedure import Procedure
from ravine.training.records import Run, Trial

SELECTION_SEEDS = 2

DEFAULT = "default"
"""The stage in which rules' defaults train on the fresh seeds."""

SEEDS_APART = 1000
"""Distance between the first seeds of two neighbouring base seeds; a comparison uses 22 of them."""

SAVE_EVERY = 20.0
"""Seconds of training after which members are saved, at their next evaluation."""

Points = Mapping[str, Sequence[Configuration]]
"""Arm -> configurations."""

Scores = Mapping[str, Mapping[Configuration, Score]]
"""Arm -> configuration -> score."""

Chosen = Mapping[str, Configuration]
"""Arm -> its chosen configuration."""


class Comparison:
    """One comparison in one run folder, from wherever it was left.

    Every decision is a function of what is stored, and what trains together follows from the plan
    and not from what is left to do: a comparison that was killed goes on as if nothing had happened.

    Args:
        problem: the recipe, loaded and checked.
        arms: what is compared, by name.
        settings: what decides the outcome besides the recipe.
        lane: how members train, and which together.
        executor: where they train.
        store: the run folder's database, which nobody else writes to.
        progress: hears what happens.
    """

    def __init__(
        self,
        problem: Problem,
        arms: Mapping[str, Procedure],
        settings: Settings,
        lane: Lane,
        executor: Executor,
        store: Store,
        progress: Progress,
    ):
        self._problem = problem
        self._arms = arms
        self._settings = settings
        self._lane = lane
        self._executor = executor
        self._store = store
        self._progress = progress
        self._maximize = problem.recipe.maximize
        self.selection_seeds, self.fresh_seeds = seeds_of(settings.seed)
        self.open: list[str] = []

    def run(self) -> None:
        """Select configurations, train fresh seeds, look at the test data; all of it is stored."""
        chosen = self.select()
        seeds = self.judge(chosen)
        self.train_defaults(chosen, seeds)
        self.test(chosen, seeds)
        rates = {name: one.lr for name, one in chosen.items()}
        self._store.set_facts(outcome={"chosen": rates, "seeds": seeds, "unsettled": self.open})

    def select(self) -> dict[str, Configuration]:
        """Stage 1: the best configuration of each arm on the selection seeds."""
        trials, seed = self._settings.trials, self._settings.seed
        tried = {name: space.points(arm, trials, seed) for name, arm in self._arms.items()}
        points: Points = tried
        what = "settings" if trials >= space.JOIN else "learning rates"
        for rung in search.RUNGS:
            until = rung_steps(self._problem.steps, rung)
            self._train_rates(points, until, f"{what}, {_share(rung)} of the training")
            scores = self._scores(points, until)
            self._show(scores)
            if rung != search.RUNGS[-1]:
                points = {name: search.survivors(scores[name]) for name in points}
                self._store.forget_snapshots(
                    "selection", self._trials(points, self.selection_seeds)
                )
        for left in reversed(range(search.ROUNDS + 1)):
            chosen = {name: search.best(scores[name]) for name in scores}
            latest = {
                name: self._scores({name: tried[name]})[name] | scores[name] for name in scores
            }
            self.open = self._unsettled(chosen, latest)
            if not self.open or not left:
                break
            added = {name: search.extension(chosen[name], latest[name]) for name in chosen}
            self._progress.note("more learning rates for all, since " + "; ".join(self.open))
            self._train_rates(added, self._problem.steps, "more learning rates")
            for name, more in self._scores(added).items():
                scores[name] |= more
                tried[name] += added[name]
            self._show(scores)
        return chosen

    def judge(self, chosen: Chosen) -> tuple[int, ...]:
        """Stage 2: fresh seeds, more of them as long as no winner shows; the seeds used."""
        points = {name: [one] for name, one in chosen.items()}
        done = 0
        for count in statistics.LOOKS:
            trials = self._trials(points, self.fresh_seeds[done:count])
            self._train("final", trials, self._problem.steps, f"fresh seeds {done + 1}-{count}")
            done = count
            runs = [
                self._store.run("final", trial)
                for trial in self._trials(points, self.fresh_seeds[:count])
            ]
            matrix = final_scores(runs, list(chosen), self._maximize)
            draws = statistics.posterior_means(matrix)
            if len(statistics.credible_best(statistics.p_best(draws))) == 1:
                break
        return self.fresh_seeds[:done]

    def train_defaults(self, chosen: Chosen, seeds: Sequence[int]) -> None:
        """What tuning gained: where more than the rate was searched the rules' defaults train on the
        fresh seeds, too, save those that were chosen themselves."""
        if self._settings.trials < space.JOIN:
            return
        defaults = {n: Configuration.of(arm.rule.defaults) for n, arm in self._arms.items()}
        points = {name: [one] for name, one in defaults.items() if one != chosen[name]}
        trials = self._trials(points, seeds)
        self._train(DEFAULT, trials, self._problem.steps, "defaults on the fresh seeds")
        self._store.forget_snapshots(DEFAULT, keep=())

    def test(self, chosen: Chosen, seeds: Sequence[int]) -> None:
        """Look at the test data, once."""
        if self._problem.test is None or self._store.fact("tested"):
            return
        trials = self._trials({name: [one] for name, one in chosen.items()}, seeds)
        metrics: list[tuple[Trial, float]] = []
        for chunk in self._lane.chunks([Member(self._store.run("final", t)) for t in trials]):
            members = _with_snapshots(self._store, "final", chunk)
            values = self._lane.test(members)
            metrics += [(m.run.trial, value) for m, value in zip(members, values, strict=True)]
        self._store.save_tests("final", metrics)

    def _trials(self, points: Points, seeds: Iterable[int]) -> list[Trial]:
        return [
            Trial(name, one.hyper, seed)
            for name in points
            for one in points[name]
            for seed in seeds
        ]

    def _train_rates(self, rates: Points, until: int, title: str) -> None:
        self._train("selection", self._trials(rates, self.selection_seeds), until, title)

    def _train(self, stage: str, trials: Sequence[Trial], until: int, title: str) -> None:
        members = [Member(self._store.run(stage, trial)) for trial in trials]
        self._progress.stage(title, sum(max(0, until - member.step) for member in members))
        last = stage == "selection" and until == self._problem.steps
        chunks = self._lane.chunks(members)
        train_stage(stage, chunks, until, last, self._executor, self._store, self._progress)

    def _scores(
        self, points: Points, until: int | None = None
    ) -> dict[str, dict[Configuration, Score]]:
        """The score of each configuration at step `until`, or where its training ended."""

        def mean(name: str, one: Configuration) -> Score:
            trials = self._trials({name: [one]}, self.selection_seeds)
            runs = [self._store.run("selection", trial) for trial in trials]
            return score(runs, self._maximize, until)

        return {name: {one: mean(name, one) for one in points[name]} for name in points}

    def _unsettled(self, chosen: Chosen, tried: Scores) -> list[str]:
        why = {name: search.unsettled(chosen[name], tried[name]) for name in chosen}
        return [
            f"{self._arms[name].title}'s best learning rate {chosen[name].lr:g} is {reason}"
            for name, reason in why.items()
            if reason
        ]

    def _show(self, scores: Scores) -> None:
        best = {name: search.best(scores[name]) for name in scores}
        sign = -1 if self._maximize else 1
        self._progress.best({n: (one.lr, sign * scores[n][one][0]) for n, one in best.items()})


def train_stage(
    stage: str,
    chunks: Sequence[Sequence[Member]],
    until: int,
    last: bool,
    executor: Executor,
    store: Store,
    progress: Progress,
) -> None:
    """Train what is left of a stage's chunks, each stored every `SAVE_EVERY` seconds.

    Args:
        stage: as the store names it.
        chunks: all of the stage; what they hold is loaded when its turn comes.
        until: an evaluation step of the problem.
        last: whether members that are there train no more: nothing but their curves is kept.
        executor, store, progress: as in `Comparison`.
    """
    left = [chunk for chunk in chunks if any(member.step < until for member in chunk)]
    if not left:
        return
    store.enter(stage, [member.run.trial for chunk in left for member in chunk])
    loaded = (_with_snapshots(store, stage, chunk) for chunk in left)
    with closing(executor.train(loaded, until, progress.tick, SAVE_EVERY)) as trained:
        for chunk in trained:
            store.save(stage, [Member(m.run) if last and m.step == until else m for m in chunk])


def _with_snapshots(store: Store, stage: str, members: Sequence[Member]) -> list[Member]:
    return [store.member(stage, member.run.trial) for member in members]


def seeds_of(base: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The selection seeds and the fresh seeds of a base seed; no seed serves twice."""
    first = base * SEEDS_APART
    fresh = first + SELECTION_SEEDS
    return tuple(range(first, fresh)), tuple(range(fresh, fresh + statistics.LOOKS[-1]))


def rung_steps(total: int, rung: int) -> int:
    """The evaluation step nearest to total/rung."""
    return min(evaluation_steps(total)[1:], key=lambda step: abs(step - total / rung))


def score(runs: Sequence[Run], maximize: bool, until: float | None = None) -> Score:
    """The score of a configuration: means over its runs at step `until`, or where they ended."""
    sign = -1 if maximize else 1
    curves = [run.curve if until is None else run.curve.until(until) for run in runs]
    if not all(curve.healthy == len(curve) for curve in curves):
        return WORST
    ends = [curve[-1] for curve in curves]
    return (
        sign * math.fsum(end.validation_metric for end in ends) / len(ends),
        math.fsum(end.validation_cost for end in ends) / len(ends),
    )


def final_scores(
    runs: Sequence[Run], names: Sequence[str], maximize: bool, until: float = math.inf
) -> list[list[float]]:
    """Validation metrics at the end or at step `until`, lower is better, [arms][seeds in ascending
    order].

    A diverged run gets the worst value there is: that of the worst healthy run, or of the untrained
    model where that is worse.
    """
    by_key = {(run.trial.procedure, run.trial.seed): run for run in runs}
    seeds = sorted({seed for _, seed in by_key})
    matrix = [[score([by_key[name, seed]], maximize, until)[0] for seed in seeds] for name in names]
    start = [score([run], maximize, until=0)[0] for run in runs]
    known = [value for row in [*matrix, start] for value in row if math.isfinite(value)]
    worst = max(known, default=0.0)
    return [[value if math.isfinite(value) else worst for value in row] for row in matrix]


def _share(rung: int) -> str:
    return "all" if rung == 1 else f"1/{rung}"
