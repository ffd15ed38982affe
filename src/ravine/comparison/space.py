"""The configurations that a search begins with: a grid of rates, or scrambled Halton points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from ravine.errors import SettingError
from ravine.rules import Span
from ravine.training.procedure import Procedure

HALF_DECADE = math.sqrt(10)
REACH = 4
"""Half-decades that learning rates reach to each side of the default: four decades."""

FEWEST = 2 * REACH + 1
"""Trials of one optimizer at least: a learning rate every half-decade."""

JOIN = 25
"""Trials from which on other hyperparameters than the learning rate are searched: with fewer, up to
four of them besides the rate are covered too thinly to choose by."""

MOST = 10_000
"""Trials of one optimizer at most."""


@dataclass(frozen=True)
class Configuration:
    """Values for all hyperparameters of a rule; equal where all of them are.

    Attributes:
        lr: the learning rate.
        other: the others, by name, in alphabetical order.
    """

    lr: float
    other: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, hyper: Mapping[str, float]) -> Configuration:
        """The configuration that these hyperparameters are, "lr" among them."""
        other = sorted((name, value) for name, value in hyper.items() if name != "lr")
        return cls(hyper["lr"], tuple(other))

    @property
    def hyper(self) -> dict[str, float]:
        """All hyperparameters by name."""
        return {"lr": self.lr, **dict(self.other)}

    def at(self, lr: float) -> Configuration:
        """The configuration with another learning rate."""
        return Configuration(lr, self.other)


def insist_on_trials(trials: int) -> None:
    """Raise SettingError unless an optimizer can be given so many."""
    if isinstance(trials, bool) or not isinstance(trials, int) or not FEWEST <= trials <= MOST:
        raise SettingError(
            f"--trials {trials}; expected a whole number from {FEWEST} (learning rates on "
            f"half-decades) to {MOST}, and {JOIN} or more to search other hyperparameters, too: "
            f"type --trials {JOIN if isinstance(trials, int) and trials > 0 else FEWEST}"
        )


def tidy(rate: float) -> float:
    """The rate to four significant digits, so that it prints, types and compares as one number."""
    return float(f"{rate:.4g}")


def grid(default: float, trials: int = FEWEST) -> list[float]:
    """Learning rates evenly on a log scale, four decades around a default, ascending.

    Half-decades where there are nine. Of an even number one lies below the four decades, so that
    the default is always one of the rates.
    """
    if not default > 0 or not math.isfinite(default):
        raise SettingError(f"learning rate {default}; expected a number above 0")
    above = (trials - 1) // 2
    return [
        tidy(default * HALF_DECADE ** (REACH * k / above)) for k in range(-(trials // 2), above + 1)
    ]


def searched(arm: Procedure, trials: int) -> Mapping[str, Span]:
    """The hyperparameters besides the learning rate that so many trials search.

    None below `JOIN`. What the rule's default switches off stays off, and what a schedule sets is
    the schedule's.
    """
    if trials < JOIN:
        return {}
    defaults = arm.rule.defaults
    return {
        name: span
        for name, span in arm.rule.tunable.items()
        if defaults[name] != 0 and name not in arm.schedules
    }


def points(arm: Procedure, trials: int, seed: int) -> list[Configuration]:
    """The configurations that a search begins with, the rule's default among them.

    Where only the learning rate is searched: a grid (`search.grid`), ascending. Else the default and
    scrambled Halton points (Halton 1960; scrambled as by Owen 2017, https://arxiv.org/abs/1706.02808),
    which cover a box more evenly than random ones and may be cut short anywhere. The first coordinate
    is the learning rate, over the four decades that the grid covers; one seed gives all rules the
    same points as far as they have the same number of hyperparameters.

    Args:
        arm: the procedure.
        trials: how many.
        seed: of the scrambling.
    """
    default = Configuration.of(arm.rule.defaults)
    spans = searched(arm, trials)
    if not spans:
        return [default.at(lr) for lr in grid(default.lr, trials)]
    drawn = qmc.Halton(1 + len(spans), scramble=True, seed=np.random.default_rng(seed))
    return [default, *(_point(default, spans, row) for row in drawn.random(trials - 1))]


def _point(
    default: Configuration, spans: Mapping[str, Span], shares: Sequence[float]
) -> Configuration:
    rate, *others = map(float, shares)
    lr = tidy(default.lr * HALF_DECADE ** (REACH * (2 * rate - 1)))
    values = {
        name: span.at(share) for (name, span), share in zip(spans.items(), others, strict=True)
    }
    return Configuration.of({**default.hyper, **values, "lr": lr})
