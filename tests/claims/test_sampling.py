"""How far minibatch gradients are from the gradient, by batch size and order of examples."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from ravine import batches
from tests.claims.sampling import (
    Sampled,
    digits_gradients,
    drawn,
    patients,
    standard_errors,
    within_and_between,
)
from tests.claims.statistics import LEVEL, interval, slopes

SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
DRAWS = 2000
SEED = 40_000


@cache
def digits() -> Sampled:
    return Sampled(digits_gradients()[0])


def within(samples: np.ndarray, theory: float, comparisons: int) -> bool:
    """Whether the mean is as told, at `LEVEL` of all comparisons together (normal: many samples)."""
    z = (samples.mean() - theory) / stats.sem(samples)
    return bool(abs(z) <= stats.norm.isf((1 - LEVEL) / 2 / comparisons))


def test_the_gradients_standard_error_falls_as_one_over_the_root_of_the_batch_size():
    """The notes: "Standard error for mean from n samples is σ/√n", of simple random sampling.

    E |ĝ - g|² = σ²/m exactly, where σ² is that of all examples' gradients; so the slope is -1/2. It
    is to be within 0.05.
    """
    found = standard_errors(digits(), batches.with_replacement(), SIZES, DRAWS, SEED)
    for size, squares in found.items():
        assert within(squares, digits().variance / size, len(SIZES)), size
    roots = [np.sqrt(squares.mean()) for squares in found.values()]
    assert abs(slopes(SIZES, roots) + 0.5) <= 0.05


def test_100_times_the_computation_gives_a_tenth_of_the_error():
    """The notes: "Computation increases by factor of 100 but error decreases by only a factor of 10".

    The ratio of two means of n squares has the relative standard deviation √(c₁² + c₂²), where c are
    theirs; the root halves it.
    """
    one, hundred = standard_errors(
        digits(), batches.with_replacement(), [1, 100], 4 * DRAWS, SEED + 10**6
    ).values()
    ratio = np.sqrt(one.mean() / hundred.mean())
    relative = np.hypot(*[stats.sem(s) / s.mean() for s in (one, hundred)]) / 2
    assert abs(ratio / 10 - 1) <= stats.norm.isf((1 - LEVEL) / 2) * relative
    assert relative < 0.02


@pytest.mark.parametrize("order", [batches.shuffled(), batches.shuffled_once()])
def test_without_replacement_the_finite_population_counts(order):
    """E |ĝ - g|² = σ²/m (N-m)/(N-1), which is 0 for the full batch (Cochran 1977, theorem 2.2)."""
    n = digits().examples
    sizes = [*SIZES[::2], 539, 1000]
    found = standard_errors(digits(), order, sizes, 1000, SEED + 2 * 10**6)
    for size, squares in found.items():
        theory = digits().variance / size * (n - size) / (n - 1)
        assert within(squares, theory, len(sizes)), size
    full = digits().squared_errors(drawn(order, n, n, 1, SEED))
    assert full[0] <= 1e-20 * digits().variance


def test_examples_stored_by_class_give_biased_gradients():
    """The notes: "Crucial to select minibatches randomly ... Necessary to shuffle the samples".

    The mean over runs of the gradient at one step is unbiased when shuffled: its squared error is
    σ²/(mS) (N-m)/(N-1) over S runs, and vanishes. Stored by class, every run has the same gradient:
    its squared error stays, whatever S, and is more than σ²/m since examples of a class are alike.
    """
    _, labels = digits_gradients()
    n, size, runs = digits().examples, 32, 64
    theory = digits().variance / size * (n - size) / (n - 1)

    def mean_shares(order: batches.Order, first: int) -> np.ndarray:
        minibatches = drawn(order, n, size, runs, first)
        shares = np.zeros(n)
        np.add.at(shares, minibatches, 1.0 / minibatches.size)
        return shares

    shuffled = [mean_shares(batches.shuffled(), SEED + runs * i) for i in range(40)]
    squares = digits().squared_errors_of(np.array(shuffled))
    low, high = interval(squares)
    assert low <= theory / runs <= high
    by_class = np.argsort(labels, kind="stable")
    stored = batches.Batches([0], n, size, "cpu", [batches.stored()])
    every = np.stack([by_class[stored.at(step)[0].numpy()] for step in range(n // size)])
    assert digits().squared_errors(every).min() > theory
    assert digits().squared_errors(every).mean() > 5 * theory


@pytest.mark.parametrize("likeness", [0.2, 0.9])
@pytest.mark.parametrize("size", [10, 20, 40])
def test_five_samples_of_each_patient(likeness, size):
    """The notes: "successive samples highly correlated. E.g., blood sample data set has five samples
    for each patient".

    With G patients of k samples, B the variance of their means and W that within (N = Gk):
        grouped: m/k whole patients,       E |ĝ - g|² = B k/m (G - m/k) / (G - 1)
        shuffled: m of all samples,        E |ĝ - g|² = (B + W)/m (N - m) / (N - 1)
        spread: one sample of m patients,  E |ĝ - g|² = B/m (G - m) / (G - 1) + W/m
    (Cochran 1977, sections 9.3, 2.6 and 10.3). With W = 0 grouped counts k times fewer examples.
    """
    groups, samples, draws = 60, 5, 4000
    vectors = patients(groups, samples, 4, likeness, seed=11)
    sampled = Sampled(vectors)
    within_patients, between = within_and_between(vectors, samples)
    of_patient = np.repeat(np.arange(groups), samples).tolist()
    clusters = size / samples
    n = sampled.examples
    theory = {
        batches.grouped(of_patient): between / clusters * (groups - clusters) / (groups - 1),
        batches.shuffled(): sampled.variance / size * (n - size) / (n - 1),
        batches.spread(of_patient): between / size * (groups - size) / (groups - 1)
        + within_patients / size,
    }
    assert list(theory.values()) == sorted(theory.values(), reverse=True)
    for order, expected in theory.items():
        squares = sampled.squared_errors(drawn(order, n, size, draws, SEED))
        assert within(squares, expected, 6 * len(theory)), order.name
