"""What the order of examples does to SGD, on least squares whose minimum is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from ravine import batches
from ravine.schedules import constant, inverse_time
from tests.claims.descent import in_groups
from tests.claims.order import (
    contraction,
    excess,
    independent,
    largest_stable_rate,
    log_ratio,
    of_patients,
    pulls,
)
from tests.claims.statistics import LEVEL, interval, slopes

EXAMPLES, FEATURES, EPOCHS = 32, 4, [10, 20, 40, 80, 160]
SEEDS = range(73_000, 73_048)


@cache
def by_order() -> dict[str, np.ndarray]:
    """Excess errors at ends of epochs with ε_k = 2/(k + 20), [epochs, seeds]."""
    orders = {
        "with_replacement": batches.with_replacement(),
        "shuffled": batches.shuffled(),
        "shuffled_once": batches.shuffled_once(),
    }
    ends = [EXAMPLES * epoch for epoch in EPOCHS]
    problem = independent(EXAMPLES, FEATURES, seed=5)
    return excess(problem, orders, SEEDS, 0.1 * inverse_time(0.05), 1, ends)


@pytest.mark.parametrize(
    ("order", "powers"),
    [("with_replacement", (-1, -1)), ("shuffled", (-3, -2)), ("shuffled_once", (-2, -2))],
)
def test_sampling_without_replacement_ends_lower(order, powers):
    """The notes: "Shuffle once and pass through multiple no. of times".

    With ε_k = c/k, c times the curvature above 1: with replacement the excess error falls as 1/k, as it
    does for any unbiased noise. Over an epoch without replacement the noise sums to 0 up to O(ε²) a
    step: 1/k² at the ends of epochs, shuffled once (Safran & Shamir 2020); reshuffled its random part
    averages out over epochs, 1/k³, above what stays, 1/k² (Gürbüzbalaban, Ozdaglar & Parrilo 2021).
    The rate is c/(k+20), and d ln(k+20) / d ln k is at least 320/340. Slopes of 8 groups of 6 seeds.
    """
    assert inverse_time(0.05).check().holds
    low, high = interval(slopes(EPOCHS, in_groups(by_order()[order], 8)))
    assert low <= powers[1] * 320 / 340
    assert high >= powers[0]
    assert high - low < 1


@pytest.mark.parametrize("order", ["shuffled", "shuffled_once"])
def test_every_pass_without_replacement_beats_simple_random_sampling(order):
    """Paired by seed, at the end of 160 epochs: an interval of the log ratio that excludes 0."""
    found = by_order()
    _, high = interval(log_ratio(found[order][-1], found["with_replacement"][-1]))
    assert high < 0


def test_the_first_pass_is_unbiased_and_later_ones_are_not():
    """The notes: "On the first pass each minibatch computes unbiased estimate of true generalization
    error; second pass: estimate is more biased because it is formed by resampling values already used".

    On the first pass a minibatch is independent of θ, so E (∇J*(θ) - ĝ) · (θ - θ*) = 0 at each step.
    Later θ has learned the noise of these very examples, and the minibatch pulls less towards θ*: at
    the end the gradients sum to 0 while that of J* is θ̂ - θ*, which leaves |θ̂ - θ*|² > 0.
    """
    differences, _ = pulls(8000, 32, 8, 4, passes=3, rate=0.1)
    steps = 32 // 4
    z = differences.mean(axis=0) / stats.sem(differences, axis=0)
    assert abs(z[:steps]).max() <= stats.norm.isf((1 - LEVEL) / 2 / steps)
    for later in (1, 2):
        low, _ = interval(differences[:, later * steps : (later + 1) * steps].mean(axis=1))
        assert low > 0


def test_samples_of_a_patient_are_better_spread_than_together():
    """The notes: "E.g., blood sample data set has five samples for each patient. Necessary to shuffle
    the samples".

    Under a constant rate the floor is in proportion to the variance of minibatch gradients, which for
    alike samples is up to five times larger grouped than shuffled, and smaller still spread. Mean
    over all steps of 10 epochs, paired by seed.
    """
    groups, samples = 40, 5
    of_patient = np.repeat(np.arange(groups), samples).tolist()
    orders = {
        "grouped": batches.grouped(of_patient),
        "shuffled": batches.shuffled(),
        "spread": batches.spread(of_patient),
    }
    problem = of_patients(groups, samples, FEATURES, 0.9, seed=6)
    found = excess(problem, orders, SEEDS, constant(0.1), 10, range(401, 601))
    floors = {name: of_seeds.mean(axis=0) for name, of_seeds in found.items()}
    assert interval(log_ratio(floors["grouped"], floors["shuffled"]))[0] > 0
    assert interval(log_ratio(floors["shuffled"], floors["spread"]))[0] > 0


@pytest.mark.parametrize("batch_size", [1, 4, 16, 64])
def test_small_batches_need_a_small_learning_rate(batch_size):
    """The notes: "Small batch sizes require small learning rate, to maintain stability due to high
    variance in estimate of gradient".

    On least squares with d Gaussian inputs E |θ - θ*|² is multiplied by 1 - 2ε + ε² (1 + (d+1)/m) at
    each step: it grows beyond ε = 2m/(m + d + 1), which rises from 2/(d+2) to 2.
    """
    features = 8
    largest = largest_stable_rate(features, batch_size)
    for share in (0.5, 1.0, 1.5):
        rate = share * largest
        theory = 1 - 2 * rate + rate**2 * (1 + (features + 1) / batch_size)
        low, high = interval(contraction(features, batch_size, rate, 20_000, seed=batch_size))
        assert low <= theory <= high
        assert (theory > 1 + 1e-12) == (share > 1)
