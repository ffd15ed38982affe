"""Parts: each example in one of them, the held-out ones the last sixth, the order a fixed one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine.datasets.parts import NAMES, mixed, parts_of


def arrays(examples: int, tests: int = 4) -> dict[str, np.ndarray]:
    """Inputs that tell which example they are; targets ten times as large."""
    inputs, test_inputs = np.arange(examples)[:, None] * 1.0, -1.0 - np.arange(tests)[:, None]
    return {
        "inputs": inputs,
        "targets": 10 * np.arange(examples),
        "test_inputs": test_inputs,
        "test_targets": -10 - 10 * np.arange(tests),
    }


@pytest.mark.parametrize(
    ("examples", "trained"),
    # a sixth, rounded: of 60,000 10,000; of 25,000 4,167 (4,166.67); of 8 1 (1.33); of 2 none (0.33)
    [(60_000, 50_000), (25_000, 20_833), (12, 10), (8, 7), (2, 2)],
)
def test_the_last_sixth_is_held_out(examples, trained):
    parts = parts_of(arrays(examples))
    (x, y), (held, held_targets), (test, test_targets) = parts.train, parts.validation, parts.test
    assert x[:, 0].tolist() == list(range(trained))
    assert held[:, 0].tolist() == list(range(trained, examples))
    assert test[:, 0].tolist() == [-1, -2, -3, -4]
    for inputs, targets in ((x, y), (held, held_targets), (test, test_targets)):
        torch.testing.assert_close(targets.double(), 10 * inputs[:, 0], rtol=0, atol=0)


def test_parts_share_the_arrays_memory():
    given = arrays(12)
    parts = parts_of(given)
    given["inputs"][0], given["inputs"][11], given["test_inputs"][0] = 70.0, 71.0, 72.0
    assert (parts.train[0][0], parts.validation[0][-1], parts.test[0][0]) == (70, 71, 72)


def test_every_array_is_needed():
    assert set(arrays(12)) == set(NAMES)
    for name in NAMES:
        with pytest.raises(KeyError, match=name):
            parts_of({key: array for key, array in arrays(12).items() if key != name})


@pytest.mark.parametrize("examples", [0, 1, 600])
def test_the_order_has_each_example_once_and_is_always_the_same(examples):
    order = mixed(examples)
    assert sorted(order.tolist()) == list(range(examples))
    assert order.dtype == np.int64
    np.random.seed(1)
    np.testing.assert_array_equal(mixed(examples), order)


def test_the_order_is_one_by_chance():
    """Spearman's correlation with the file's order: of a random permutation its deviation is
    1/sqrt(n - 1)."""
    n = 10_000
    order = mixed(n)
    assert abs(np.corrcoef(order, np.arange(n))[0, 1]) < 3 / np.sqrt(n - 1)
    assert (order == np.arange(n)).sum() <= 5  # Poisson of mean 1: more has probability 6e-4
