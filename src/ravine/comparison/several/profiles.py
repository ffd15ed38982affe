"""Performance profiles: how often an arm is nearly the fastest. Pure functions on arrays.

A table of times has shape [arms, recipes]: what each arm needed to reach each recipe's target, in
gradient steps or in seconds. A miss is infinite, and is never left out.

Sources: Dolan and Moré 2002, "Benchmarking optimization software with performance profiles",
https://doi.org/10.1007/s101070100263; Dahl et al. 2023, "Benchmarking Neural Network Training
Algorithms" (AlgoPerf), https://arxiv.org/abs/2306.07179.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ravine.comparison.statistics import Array

TAU_MAX = 4.0
"""Where a profile ends: who takes over four times as long as the fastest counts as a miss. AlgoPerf's."""


def performance_ratios(times: ArrayLike) -> Array:
    """How many times as long as the fastest arm of a recipe each arm takes.

        r(a, w) = t(a, w) / min over arms b of t(b, w)

    A miss is infinite, also where everybody missed. Where the fastest needed no step at all, so did
    those with ratio 1, and all others have an infinite one.

    Args:
        times: [arms, recipes], not negative; infinite for a miss.

    Returns:
        [arms, recipes], from 1 on.
    """
    table = np.asarray(times, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or np.isnan(table).any() or (table < 0).any():
        raise ValueError(f"times must be numbers >= 0 of shape [arms, recipes], got {times!r}.")
    fastest = table.min(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = table / fastest
    ratios[np.isinf(table)] = np.inf
    ratios[table == 0] = 1.0
    return np.asarray(ratios, dtype=np.float64)


def profile(ratios: ArrayLike, taus: ArrayLike) -> Array:
    """The share of recipes on which an arm takes at most τ times as long as the fastest.

        ρ(a, τ) = |{w : r(a, w) <= τ}| / recipes

    Args:
        ratios: [arms, recipes] of `performance_ratios`.
        taus: [taus].

    Returns:
        [arms, taus], within [0, 1], never falling in τ.
    """
    within = np.asarray(ratios)[:, :, None] <= np.asarray(taus, dtype=np.float64)
    return np.asarray(within.mean(axis=1), dtype=np.float64)


def profile_score(ratios: ArrayLike, tau_max: float = TAU_MAX) -> Array:
    """AlgoPerf's benchmark score: the normalized area under the profile.

        B(a) = 1 / (τmax - 1) · ∫ from 1 to τmax of ρ(a, τ) dτ
             = mean over recipes of max(0, τmax - r(a, w)) / (τmax - 1)

    since each recipe adds a step of height 1/recipes at its ratio. 1: the fastest everywhere; 0:
    nowhere within τmax times the fastest. (AlgoPerf's own code takes trapezoids on 100 points.)

    Args:
        ratios: [arms, recipes] of `performance_ratios`.
        tau_max: where the integral ends, above 1.

    Returns:
        [arms].
    """
    left = np.maximum(0.0, tau_max - np.asarray(ratios, dtype=np.float64))
    return np.asarray(left.mean(axis=1) / (tau_max - 1), dtype=np.float64)
