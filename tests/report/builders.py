"""Small verdicts and studies, for tests that work the words of a report out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

from ravine.comparison.records import Arm, Interval, RateScore, Settings, Study, Verdict
from ravine.training.records import Point, Run, Trial

INF, NAN = math.inf, math.nan


def parts(optimizer: str, **others: str) -> dict[str, str]:
    usual = {"init": "as_built", "schedule": "constant", "batches": "shuffled"}
    return {"optimizer": optimizer, **usual, **others}


def arm(optimizer: str, title: str, mean: float = 0.021, **changes) -> Arm:
    lr = changes.pop("lr", 0.001)
    base = Arm(
        name=optimizer,
        title=title,
        parts=parts(optimizer),
        hyper={"lr": lr},
        p_best=0.97,
        beats={},
        validation=Interval(mean, mean - 0.003, mean + 0.003),
        test=Interval(mean + 0.001, mean - 0.002, mean + 0.004),
        rank=Interval(1.5, 1.0, 2.0),
        steps_to_target=800.0,
        seconds_to_target=1.25,
        lr_band=(lr, lr),
        rates=(RateScore(lr, mean, 0.1, 900, "chosen"),),
        diverged=0,
        final_diverged=0,
        gradient_steps=4000,
    )
    return replace(base, **changes)


def verdict(*arms: Arm, best: tuple[str, ...], **changes) -> Verdict:
    base = Verdict(
        recipe="digits",
        metric="error_rate",
        maximize=False,
        best=best,
        arms=arms,
        selection_seeds=(1, 2),
        final_seeds=tuple(range(10, 30)),
        target=0.04,
        warnings=("Careful.",),
        environment={"torch": "2.13", "command": "ravine compare digits"},
    )
    return replace(base, **changes)


def run(optimizer: str, seed: int, *values: float, lr: float = 0.001) -> Run:
    points = (Point(10 * i, value, value, value) for i, value in enumerate(values))
    return Run(Trial(optimizer, {"lr": lr}, seed), tuple(points))


def study(of: Verdict, selection=(), final=(), asked=None) -> Study:
    names = asked or tuple(arm.name for arm in of.arms)
    return Study(Settings(names, 900, 0), of, tuple(selection), tuple(final), baseline=0.9)


ADAM, RMS = arm("adam", "Adam"), arm("rmsprop", "RMSProp", 0.022, lr=10**-2.5)
SGD = arm("sgd", "SGD", 0.05, lr=0.3)


def broken(of: Study, *diverged: int) -> Study:
    """The study with so many diverged final runs in its first arms, as the verdict counts them."""
    arms = [
        replace(arm, final_diverged=n, test=None if n else arm.test)
        for arm, n in zip(of.verdict.arms, diverged, strict=False)
    ]
    arms += of.verdict.arms[len(diverged) :]
    return replace(of, verdict=replace(of.verdict, arms=tuple(arms)))
