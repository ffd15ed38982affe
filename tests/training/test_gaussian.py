"""Keyed Gaussian noise against the distribution it claims to be."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from ravine.seeds import derive
from ravine.training.gaussian import keyed_normal

SIZE = 200_000
BOUND = 5 / SIZE**0.5
"""Five standard errors of the mean, and of the correlation, of so many independent draws."""


def draws(*key: int | str, size: int = SIZE, dtype: torch.dtype = torch.float64) -> Tensor:
    return keyed_normal(size, torch.tensor(derive(*key)), dtype)


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_are_normal(dtype):
    """Kolmogorov-Smirnov: the distance stays below 1.95/√n in 99.9% of samples."""
    for seed in range(3):
        z = draws(seed, dtype=dtype)
        assert z.dtype is dtype
        assert stats.kstest(z.numpy(), "norm").statistic <= 1.95 / SIZE**0.5
        assert abs(float(z.double().mean())) <= BOUND
        assert abs(float(z.double().var()) - 1) <= BOUND * 2**0.5


def test_draws_of_other_keys_and_of_neighbours_are_independent():
    first = draws("a")
    assert abs(correlation(first, draws("b"))) <= BOUND
    assert abs(correlation(first[1:], first[:-1])) <= BOUND
    assert abs(correlation(first.square(), draws("b").square())) <= BOUND


@pytest.mark.parametrize("distance", [1 << 32, (1 << 32) + 1])
def test_all_of_the_key_counts(distance):
    key = torch.tensor(derive("a"))
    one = keyed_normal(SIZE, key, torch.float64)
    other = keyed_normal(SIZE, key + distance, torch.float64)
    for a, b in ((one, other), (one[1:], other[:-1]), (one[:-1], other[1:])):
        assert abs(correlation(a, b)) <= BOUND


def test_a_draw_depends_on_key_and_element_alone():
    keys = torch.tensor([derive(i) for i in range(4)])
    together = torch.vmap(lambda key: keyed_normal(7, key, torch.float64))(keys)
    for row, key in zip(together, keys, strict=True):
        assert torch.equal(row, keyed_normal(7, key, torch.float64))
        assert torch.equal(row[:3], keyed_normal(3, key, torch.float64))
