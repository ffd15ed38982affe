"""Whether an ordering of optimizers holds: claims about expected scores, over fresh seeds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ravine.comparison import statistics

LEVEL = 0.95
"""Probability from which on a claim holds, or its contrary does."""

EVEN = 0.1
"""Two optimizers are even if their scores differ by less than this share of the way from the best to the
worst of the figure: less than a line's width or two there."""


@dataclass(frozen=True)
class Claim:
    """What a figure shows of two optimizers.

    Attributes:
        first, second: names.
        relation: "ahead": the first one's cost is lower; "even": they are alike.
        share: where on the way through the training; 1: at the end.
    """

    first: str
    relation: Literal["ahead", "even"]
    second: str
    share: float = 1.0

    def said(self, titles: dict[str, str]) -> str:
        """In print."""
        first, second = titles[self.first], titles[self.second]
        words = f"{first} ~ {second}" if self.relation == "even" else f"{first} ahead of {second}"
        return words if self.share == 1 else f"{words} after {self.share:.0%} of the training"


@dataclass(frozen=True)
class Judged:
    """A claim with the probability that it is so, given the seeds.

    Attributes:
        claim: what was claimed. p: the probability.
    """

    claim: Claim
    p: float

    @property
    def verdict(self) -> str:
        """ "holds", "does not hold", or "undecided"."""
        if self.p >= LEVEL:
            return "holds"
        return "does not hold" if self.p <= 1 - LEVEL else "undecided"


def judge(claim: Claim, scores: ArrayLike, names: Sequence[str]) -> Judged:
    """The posterior probability of a claim.

    Args:
        claim: about two of the names.
        scores: lower is better, [optimizers][seeds], paired over seeds.
        names: the optimizers.
    """
    draws = statistics.posterior_means(scores)
    first, second = (draws[:, names.index(name)] for name in (claim.first, claim.second))
    if claim.relation == "ahead":
        return Judged(claim, float(np.mean(first < second)))
    span = draws.max(axis=1) - draws.min(axis=1)
    return Judged(claim, float(np.mean(np.abs(first - second) < EVEN * span)))
