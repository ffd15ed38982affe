"""Orders that need nothing but the number of examples; what all orders promise."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import stats

from ravine.batches import shuffled, shuffled_once, stored, stream, with_replacement
from ravine.errors import SettingError
from tests.batches.examples import PERMUTING, orders

LEVEL = 1e-4
"""Of every statistical test here: with fixed seeds it fails by chance once in 10⁴ such tests."""


@pytest.mark.parametrize("examples", [1, 2, 7, 100, 1001])
def test_every_epoch_sees_every_example_once(examples: int) -> None:
    for name in PERMUTING:
        for epoch in (0, 1, 30):
            order = orders(examples)[name].epoch(4, epoch, examples)
            assert order.dtype == torch.int64
            assert order.sort().values.tolist() == list(range(examples)), name


def test_an_epoch_is_a_function_of_seed_and_epoch_alone() -> None:
    """Also for orders made anew, whatever was drawn in between."""
    for name, order in orders(40).items():
        epochs = (0,) if name == "stream" else (0, 3)
        first = [order.epoch(5, epoch, 40) for epoch in epochs]
        torch.manual_seed(1)
        before = torch.get_rng_state()
        order.epoch(6, 0, 40)
        again = orders(40)[name]
        for epoch, expected in zip(reversed(epochs), reversed(first), strict=True):
            assert torch.equal(again.epoch(5, epoch, 40), expected), name
        assert torch.equal(torch.get_rng_state(), before), name


def test_seeds_and_epochs_differ_where_there_is_chance() -> None:
    for name, order in orders(40).items():
        if name in ("stored", "stream"):
            continue
        assert not torch.equal(order.epoch(0, 0, 40), order.epoch(1, 0, 40)), name
        same = torch.equal(order.epoch(0, 0, 40), order.epoch(0, 1, 40))
        assert same == (name == "shuffled_once")


def test_orders_are_equal_by_content_and_found_in_a_dictionary() -> None:
    first, again, other = orders(40), orders(40), orders(41)
    for name, order in first.items():
        assert order.name == name
        assert order == again[name]
        assert {order: 1}[again[name]] == 1
        if name in ("stratified", "grouped", "spread", "curriculum"):
            assert order != other[name]
    assert len({*first.values(), *again.values()}) == len(first)


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (3, 2), (12345, 678)])
def test_the_shuffle_is_fixed_for_all_time(seed: int, epoch: int) -> None:
    """A stored comparison is continued with the order it was begun with."""
    digest = hashlib.blake2b(f"{seed}/order/{epoch}".encode(), digest_size=8).digest()
    rng = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
    assert torch.equal(shuffled().epoch(seed, epoch, 50), torch.randperm(50, generator=rng))


def test_once_is_the_first_epoch_of_anew() -> None:
    for epoch in range(4):
        assert torch.equal(shuffled_once().epoch(7, epoch, 30), shuffled().epoch(7, 0, 30))


def test_all_permutations_are_equally_likely() -> None:
    """Chi-square over the 24 permutations of 4 examples, by epochs and by seeds."""
    draws = 4800
    for keys in ([(0, k) for k in range(draws)], [(k, 0) for k in range(draws)]):
        seen = Counter(tuple(shuffled().epoch(*key, 4).tolist()) for key in keys)
        counts = [seen[p] for p in permutations(range(4))]
        assert sum(counts) == draws
        assert stats.chisquare(counts).pvalue > LEVEL


def test_with_replacement_is_simple_random_sampling() -> None:
    """All examples equally often (chi-square), successive ones independent, some left out."""
    n, epochs = 20, 1000
    drawn = np.stack([with_replacement().epoch(3, e, n).numpy() for e in range(epochs)])
    assert stats.chisquare(np.bincount(drawn.ravel(), minlength=n)).pvalue > LEVEL
    pairs = drawn[:, 0] * n + drawn[:, 1]
    assert stats.chisquare(np.bincount(pairs, minlength=n * n)).pvalue > LEVEL

    # Examples left out of an epoch: mean and variance of the occupancy problem.
    none, neither = (1 - 1 / n) ** n, (1 - 2 / n) ** n
    variance = n * none + n * (n - 1) * neither - (n * none) ** 2
    left_out = n - np.array([len(set(row)) for row in drawn])
    error = (left_out.mean() - n * none) / math.sqrt(variance / epochs)
    assert abs(error) < stats.norm.isf(LEVEL / 2)


def test_stored_order_is_as_stored() -> None:
    assert stored().epoch(9, 9, 6).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_stream_ends_after_each_example_was_seen_once() -> None:
    assert stream().epoch(9, 0, 6).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(SettingError, match=r"ended after 6 examples; .*fewer steps"):
        stream().epoch(9, 1, 6)
