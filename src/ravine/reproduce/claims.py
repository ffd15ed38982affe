"""Whether an ordering holds: claims about expected scores, over fresh seeds. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ravine.comparison import statistics

LEVEL = 0.95
"""Probability from which on a claim holds, or its contrary does."""

EVEN = 0.1
"""Two lines are even if they differ by less than this share of the way from the best line to the worst
that did not diverge: one or two widths of a line in a printed figure. On a logarithmic figure all of it
is in logarithms."""

NOISE = 2.0
"""A line reaches another if it is behind by less than so many standard deviations of single runs of the
other: one of its runs could be taken for one of the other's. In the large-batch experiment of Goyal
et al. that is 0.24 points of error at batch 256; batch 8192 is 0.14 behind, and 1.24 without warmup."""


@dataclass(frozen=True)
class Claim:
    """What a figure shows of two lines.

    Attributes:
        first, second: names.
        relation: "ahead": the first one's score is lower; "even": they are alike; "reaches": the
            first one's is not higher, but for noise.
        share: where on the way through the training; 1: at the end.
    """

    first: str
    relation: Literal["ahead", "even", "reaches"]
    second: str
    share: float = 1.0

    def said(self, titles: Mapping[str, str]) -> str:
        """In print."""
        between = {"ahead": "ahead of", "even": "~", "reaches": "reaches"}[self.relation]
        words = f"{titles[self.first]} {between} {titles[self.second]}"
        return words if self.share == 1 else f"{words} after {self.share:.0%} of the training"


def ahead(first: str, *others: str, share: float = 1.0) -> tuple[Claim, ...]:
    """One line is ahead of each of the others."""
    return tuple(Claim(first, "ahead", other, share) for other in others)


@dataclass(frozen=True)
class Judged:
    """A claim with the probability that it is so, given the seeds.

    Attributes:
        claim: what was claimed. p: the probability; None where nothing can be said.
    """

    claim: Claim
    p: float | None

    @property
    def verdict(self) -> str:
        """ "holds", "does not hold", or "undecided"."""
        if self.p is None:
            return "undecided"
        if self.p >= LEVEL:
            return "holds"
        return "does not hold" if self.p <= 1 - LEVEL else "undecided"


def judge(
    claim: Claim, scores: ArrayLike, names: Sequence[str], diverged: Collection[str] = ()
) -> Judged:
    """The posterior probability of a claim.

    Nothing is said where a run of the line to be reached diverged, as its runs have no usual spread; nor
    of two lines being even where no third one is left that did not diverge, and could set the margin.

    Args:
        claim: about two of the names.
        scores: lower is better, [lines][seeds], paired over seeds; in logarithms where the figure is.
        names: the lines.
        diverged: the lines of which some run diverged.
    """
    draws = statistics.posterior_means(scores)
    first, second = (draws[:, names.index(name)] for name in (claim.first, claim.second))
    behind = first - second
    if claim.relation == "ahead":
        return Judged(claim, float(np.mean(behind < 0)))
    if claim.relation == "even":
        healthy = [name not in diverged for name in names]
        if not set(names) - {claim.first, claim.second, *diverged}:
            return Judged(claim, None)
        margin = EVEN * np.ptp(draws[:, healthy], axis=1)
        return Judged(claim, float(np.mean(np.abs(behind) < margin)))
    if claim.second in diverged:
        return Judged(claim, None)
    noise = _deviations(np.asarray(scores)[names.index(claim.second)], len(draws))
    return Judged(claim, float(np.mean(behind < NOISE * noise)))


def _deviations(runs: statistics.Array, draws: int) -> statistics.Array:
    """Posterior draws of the standard deviation of single runs: s √((n-1) / χ²ₙ₋₁), n runs, s theirs.

    Five runs know it within a factor of two. Drawn for itself, apart from the means.
    """
    freedom = len(runs) - 1
    chi2 = np.random.default_rng(1).chisquare(freedom, size=draws)
    return np.asarray(runs.std(ddof=1) * np.sqrt(freedom / chi2), dtype=np.float64)
