"""How every fact names an arm and what became of it: key, metric, divergence, good rates."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ravine.comparison.records import Arm, Study, Verdict
from ravine.report import words
from ravine.report.records import Key
from ravine.report.words import Metric

ONLY_NEAR = 0.25
"""A band of good learning rates narrower than this many decades is a single rate."""


NAMES = {
    "optimizer": "optimizer",
    "init": "start",
    "schedule": "schedule",
    "batches": "order of examples",
    "batch_size": "batch size",
}
"""Dimension -> its name in print."""


STEPS = "gradient steps"


def keys(study: Study) -> dict[str, Key]:
    """One key per arm, best first; slots go by the order asked for, whatever came out."""
    order = {name: slot for slot, name in enumerate(study.settings.arms)}
    for arm in study.verdict.arms:
        order.setdefault(arm.name, len(order))
    return {a.name: Key(a.name, a.title, order[a.name]) for a in study.verdict.arms}


def metric_of(verdict: Verdict) -> Metric:
    """How this verdict's metric prints; the best arms that trained decide how many digits."""
    best = [arm.validation for arm in maybe_best(verdict)]
    return words.metric_of(verdict.metric, verdict.maximize, best)


def maybe_best(verdict: Verdict) -> list[Arm]:
    """The arms among which the best one is, but for those that diverged on every seed."""
    return [a for a in verdict.arms if a.name in verdict.best and not lost(verdict, a)]


def noun(verdict: Verdict) -> str:
    """What is compared: optimizers, or candidates that differ in more, or else, than those."""
    others = {
        tuple(value for kind, value in arm.parts.items() if kind != "optimizer")
        for arm in verdict.arms
    }
    return "optimizer" if len(others) == 1 else "candidate"


def unit(study: Study) -> str:
    """Print "gradient steps", or "steps of 32 examples" where arms take others than are counted."""
    if len({arm.steps for arm in study.verdict.arms}) == 1:
        return STEPS
    sizes = {arm.name: arm.batch_size for arm in study.verdict.arms}
    return f"steps of {sizes[study.settings.arms[0]]} examples"


def length(study: Study) -> str:
    """Print "900 gradient steps each": how long a full training is."""
    steps, what = study.settings.steps, unit(study)
    if what == STEPS:
        return f"{words.plural(steps, 'gradient step')} each"
    return f"{steps:,} {what} each, or as many epochs"


def lost(verdict: Verdict, arm: Arm) -> bool:
    """Whether all final runs of an optimizer diverged: its validation metric is no measurement."""
    return arm.final_diverged >= len(verdict.final_seeds)


def nothing_trained(verdict: Verdict) -> bool:
    """Whether all final runs of all optimizers diverged: then there is nothing to compare."""
    return all(lost(verdict, arm) for arm in verdict.arms)


def mark(verdict: Verdict, arm: Arm) -> str:
    """Print "diverged" or "3 of 20 diverged"; nothing for an optimizer without such final runs."""
    if lost(verdict, arm):
        return "diverged"
    if arm.final_diverged:
        return f"{arm.final_diverged} of {len(verdict.final_seeds)} diverged"
    return ""


def named(verdict: Verdict, arm: Arm) -> str:
    """Print "SGD", or "SGD (3 of 20 diverged)"."""
    note = mark(verdict, arm)
    return f"{arm.title} ({note})" if note else arm.title


def searched(arm: Arm) -> tuple[str, ...]:
    """The hyperparameters besides the learning rate that were searched."""
    return tuple(sorted({name for rate in arm.rates for name in rate.other}))


def setting(arm: Arm, hyper: Mapping[str, float]) -> str:
    """Print "learning rate 0.001, beta1 0.9": of hyperparameters those that were searched."""
    return words.hyper({name: hyper[name] for name in ("lr", *searched(arm))})


def p_best(verdict: Verdict, arm: Arm) -> str:
    """Print P(best); a dash where nothing trained."""
    return "–" if nothing_trained(verdict) else words.probability(arm.p_best)


def band(arm: Arm) -> tuple[float, float] | None:
    """The good learning rates; None where all of them diverged."""
    lo, hi = arm.lr_band
    healthy = any(rate.status != "diverged" for rate in arm.rates)
    return (lo, hi) if healthy and 0 < lo <= hi < math.inf else None


def decades(arm: Arm) -> float:
    """How many factors of ten the good learning rates span."""
    good = band(arm)
    return math.log10(good[1] / good[0]) if good else 0.0


def band_words(arm: Arm) -> str:
    """Print "0.001 to 0.01", "only near 0.3" or "none"."""
    good = band(arm)
    if good is None:
        return "none"
    if decades(arm) < ONLY_NEAR:
        return f"only near {words.number(good[0], 2)}"
    return f"{words.number(good[0], 2)} to {words.number(good[1], 2)}"
