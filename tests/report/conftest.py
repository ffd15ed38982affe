"""A made-up study that looks like a real one: the face on which the report is tested and judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ravine.comparison.records import Arm, Interval, RateScore, Settings, Study, Verdict
from ravine.training.records import Point, Run, Trial
from tests.report.browsing import chromium
from tests.report.builders import parts

STEPS, RUNGS = 2700, (300, 900, 2700)


@dataclass(frozen=True)
class Kind:
    """How a made-up optimizer behaves: best rate, width in decades, final error, speed."""

    name: str
    title: str
    lr: float
    width: float
    floor: float
    pace: float
    other: tuple[tuple[str, float], ...] = ()


KINDS = (
    Kind("sgd", "SGD", 0.3, 0.35, 0.034, 260),
    Kind("momentum", "SGD + momentum", 0.1, 0.6, 0.025, 110, (("momentum", 0.9),)),
    Kind("adagrad", "AdaGrad", 0.03, 0.8, 0.041, 150),
    Kind("rmsprop", "RMSProp", 0.001, 0.9, 0.0232, 60),
    Kind("adam", "Adam", 0.001, 1.2, 0.0205, 55),
    Kind("adadelta", "Adadelta", 1.0, 0.5, 0.075, 420),
    Kind("nesterov", "Nesterov momentum", 0.1, 0.65, 0.0245, 100, (("momentum", 0.9),)),
    Kind("nadam", "NAdam", 0.001, 1.0, 0.0228, 58),
    Kind("adamw", "AdamW", 0.001, 1.1, 0.0212, 57, (("weight_decay", 0.01),)),
    Kind("radam", "RAdam", 0.003, 1.0, 0.024, 90),
    Kind("lamb", "LAMB", 0.01, 0.9, 0.026, 80),
    Kind("lion", "Lion", 0.0001, 0.5, 0.029, 70),
    Kind("rmspropnesterov", "RMSProp with Nesterov momentum", 0.001, 0.4, 0.031, 75),
    Kind("deltabardelta", "Delta-bar-delta", 0.03, 0.3, 0.055, 300),
    Kind("schedulefree", "Schedule-Free Adam", 0.003, 1.1, 0.023, 65),
)


def curve(kind: Kind, lr: float, seed: int, until: int, maximize: bool) -> tuple[Point, ...]:
    """One training run: a power law towards a floor, noisy, NaN where the rate is too high."""
    rng = np.random.default_rng([seed, KINDS.index(kind), round(1000 * math.log10(lr)) + 10**6])
    off = math.log10(lr / kind.lr) / kind.width
    floor = kind.floor * (1 + 0.06 * rng.standard_normal()) + 0.012 * off**2
    pace = kind.pace * 10 ** (0.9 * abs(min(off, 0)) + 0.2 * max(off, 0))
    breaks = 60 + 30 * int(rng.integers(5)) if off * kind.width > 0.9 else None
    points = []
    for step in range(0, until + 1, 30):
        rest = (1 + step / pace) ** -1.6
        error = min(0.9, floor + (0.9 - floor) * rest) * (1 + 0.02 * rng.standard_normal())
        cost = (2.3 * rest + kind.floor * 0.4 * (1 + off**2)) * math.exp(
            0.12 * rng.standard_normal()
        )
        if breaks is not None and step >= breaks:
            points.append(Point(step, math.nan, math.inf, 1 - 0.1 if not maximize else 0.1))
            break
        metric = 1 - error if maximize else error
        points.append(Point(step, cost, cost * 1.1, metric))
    return tuple(points)


def last(run: Run, at: int) -> float | None:
    if run.diverged_at is not None and run.diverged_at <= at:
        return None
    return next(p.validation_metric for p in run.curve if p.step == at)


def mean(values: Sequence[float | None]) -> float | None:
    return None if None in values else float(np.mean(values))


def interval(values: np.ndarray) -> Interval:
    rng = np.random.default_rng(0)
    means = rng.choice(values, (500, len(values))).mean(1)
    return Interval(float(values.mean()), *map(float, np.quantile(means, (0.025, 0.975))))


def select(
    kind: Kind, seeds: Sequence[int], maximize: bool, span: int
) -> tuple[tuple[RateScore, ...], float, list[Run]]:
    """Three rungs for one optimizer: scores, chosen rate, runs."""
    lrs = [kind.lr * 10 ** (i / 2) for i in range(-(span // 2), span - span // 2)]
    trials = {
        lr: [Trial(kind.name, {"lr": lr, **dict(kind.other)}, s) for s in seeds] for lr in lrs
    }
    long = {
        lr: [Run(trial, curve(kind, lr, trial.seed, STEPS, maximize)) for trial in group]
        for lr, group in trials.items()
    }
    sign = -1 if maximize else 1
    early = {lr: mean([last(run, RUNGS[0]) for run in runs]) for lr, runs in long.items()}
    ranked = sorted((lr for lr in lrs if early[lr] is not None), key=lambda lr: sign * early[lr])
    budget = {
        lr: RUNGS[2] if lr in ranked[:4] else RUNGS[1] if lr in ranked[:6] else RUNGS[0]
        for lr in lrs
    }
    scores = {lr: mean([last(run, budget[lr]) for run in runs]) for lr, runs in long.items()}
    chosen = min(ranked[:4], key=lambda lr: sign * scores[lr])
    rows, runs = [], []
    for lr in lrs:
        cut = [Run(r.trial, tuple(p for p in r.curve if p.step <= budget[lr])) for r in long[lr]]
        runs += cut
        status = "survived" if budget[lr] == STEPS else "dropped"
        status = "diverged" if scores[lr] is None else "chosen" if lr == chosen else status
        rows.append(RateScore(lr, scores[lr], early[lr], budget[lr], status))
    return tuple(rows), chosen, runs


def steps_to(run: Run, target: float, maximize: bool) -> float:
    sign = 1 if maximize else -1
    hits = (p.step for p in run.curve if sign * (p.validation_metric - target) >= 0)
    return float(next(hits, math.inf))


def make_study(
    arms: int = 6,
    finals: int = 20,
    maximize: bool = False,
    test: bool = True,
    warnings: tuple[str, ...] = (
        "AdaGrad: the best learning rate lies at the edge of those tried.",
    ),
) -> Study:
    """A study of the first `arms` kinds; `verdict` follows from its runs by a small bootstrap."""
    kinds, selection_seeds = KINDS[:arms], (11, 12)
    final_seeds = tuple(range(101, 101 + finals))
    selection: list[Run] = []
    final: dict[str, list[Run]] = {}
    chosen: dict[str, tuple[tuple[RateScore, ...], float]] = {}
    for kind in kinds:
        rates, lr, runs = select(kind, selection_seeds, maximize, 9 + KINDS.index(kind) % 3)
        selection += runs
        chosen[kind.name] = rates, lr
        hyper = {"lr": lr, **dict(kind.other)}
        final[kind.name] = [
            Run(Trial(kind.name, hyper, seed), curve(kind, lr, seed, STEPS, maximize), 0.02)
            for seed in final_seeds
        ]
    ends = np.array([[r.curve[-1].validation_metric for r in final[k.name]] for k in kinds])
    verdict = _verdict(kinds, chosen, final, ends, selection, final_seeds, maximize, test, warnings)
    baseline = float(np.mean([runs[0].curve[0].validation_metric for runs in final.values()]))
    settings = Settings(tuple(kind.name for kind in kinds), STEPS, 0)
    return Study(
        settings, verdict, tuple(selection), tuple(r for v in final.values() for r in v), baseline
    )


def _verdict(
    kinds, chosen, final, ends, selection, final_seeds, maximize, test, warnings
) -> Verdict:
    sign = -1 if maximize else 1
    rng = np.random.default_rng(1)
    picks = rng.integers(0, ends.shape[1], (2000, ends.shape[1]))
    means = sign * ends[:, picks].mean(2)
    p_best = np.bincount(means.argmin(0), minlength=len(kinds)) / means.shape[1]
    ranks = (sign * ends).argsort(0).argsort(0) + 1.0
    target = 0.96 if maximize else 0.04
    arms = []
    for i, kind in enumerate(kinds):
        rates, lr = chosen[kind.name]
        steps = float(np.median([steps_to(run, target, maximize) for run in final[kind.name]]))
        runs = [*final[kind.name], *(r for r in selection if r.trial.procedure == kind.name)]
        validation, half = interval(ends[i]), int(kind.width // 0.45)
        arms.append(
            Arm(
                name=kind.name,
                title=kind.title,
                parts=parts(kind.name),
                hyper={"lr": lr, **dict(kind.other)},
                p_best=float(p_best[i]),
                beats={
                    k.name: float((means[i] < means[j]).mean())
                    for j, k in enumerate(kinds)
                    if j != i
                },
                validation=validation,
                test=interval(ends[i] + sign * 0.002) if test else None,
                rank=interval(ranks[i]),
                steps_to_target=steps,
                seconds_to_target=steps * (0.00021 + 0.00003 * (i % 4)),
                lr_band=(lr / 10 ** (half // 2 / 2), lr * 10 ** ((half + 1) // 2 / 2)),
                rates=rates,
                diverged=sum(run.diverged_at is not None for run in runs),
                final_diverged=sum(run.diverged_at is not None for run in final[kind.name]),
                gradient_steps=21600,
            )
        )
    arms.sort(key=lambda arm: sign * arm.validation.mean)
    likely = sorted(arms, key=lambda arm: -arm.p_best)
    total, best = 0.0, []
    while total < 0.95:
        best.append(likely[len(best)])
        total += best[-1].p_best
    return Verdict(
        recipe="digits-mlp",
        metric="accuracy" if maximize else "error_rate",
        maximize=maximize,
        best=tuple(arm.name for arm in arms if arm in best),
        arms=tuple(arms),
        selection_seeds=(11, 12),
        final_seeds=final_seeds,
        target=target,
        warnings=warnings,
        environment={
            "ravine": "0.1.0",
            "python": "3.11.2",
            "torch": "2.13.0",
            "machine": "x86_64, 2 cores, 8 GB",
            "lane": "population, 64 members at a time",
            "date": "2026-01-31",
            "command": "ravine compare digits-mlp --steps 2700 --seed 0 --out runs/digits "
            "--optimizers sgd,momentum,adagrad,rmsprop,adam,adadelta",
        },
    )


@pytest.fixture(scope="session")
def study() -> Study:
    """Six optimizers, twenty fresh seeds, some trials diverged."""
    return make_study()


@pytest.fixture(scope="session")
def new_study() -> Callable[..., Study]:
    """The factory itself, for other shapes of studies."""
    return make_study


HOSTILE = "</script><img src=x onerror=\"document.title='taken'\">&amp;$title<b>"


def hostile(study: Study) -> Study:
    """The study with hostile text wherever a user's recipe or machine can put some."""
    verdict = study.verdict
    first = replace(verdict.arms[0], title=HOSTILE)
    return replace(
        study,
        verdict=replace(
            verdict,
            recipe=HOSTILE,
            metric=HOSTILE,
            arms=(first, *verdict.arms[1:]),
            warnings=(HOSTILE,),
            environment={HOSTILE: HOSTILE, "command": HOSTILE},
        ),
    )


@pytest.fixture(scope="session")
def hostile_study() -> Study:
    """Two optimizers, one of which has a name that would take over a careless page."""
    return hostile(make_study(arms=2, finals=2))


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Iterator:
    """A browser for the tests of a file."""
    browser = chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.quit()
