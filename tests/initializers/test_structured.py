"""Orthogonal, identity and sparse matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from ravine.errors import SettingError
from ravine.initializers import get, identity, orthogonal, sparse
from ravine.seeds import generator


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize(
    "shape", [(300, 40), (40, 300), (128, 128), (16, 8, 3, 3), (1, 7), (7, 1)], ids=str
)
def test_orthogonality(shape: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    """Products are summed in float64, so that what is measured are the weights."""
    W = orthogonal()(shape, generator(0), dtype=dtype).double().flatten(1)
    product = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
    assert (product - torch.eye(len(product), dtype=torch.float64)).abs().max() <= tolerance
    scaled = orthogonal(3.0)(shape, generator(0), dtype=dtype).double().flatten(1)
    assert torch.allclose(scaled, 3 * W, rtol=1e-6, atol=0)


def test_orthogonal_matrices_are_uniform() -> None:
    """Under Haar's measure an entry of a 3x3 matrix is U(-1, 1) (Archimedes), for every entry.

    Without the signs of R's diagonal QR gives a matrix whose diagonal is never positive. 9 entries:
    2.4 is passed once in 9 · 2 exp(-2 · 2.4²) = 2e-4.
    """
    random = generator(0)
    drawn = torch.stack([orthogonal()((3, 3), random, dtype=torch.float64) for _ in range(4000)])
    for entry in drawn.flatten(1).T.numpy():
        distance = stats.kstest(entry, stats.uniform(-1, 2).cdf).statistic
        assert math.sqrt(entry.size) * distance < 2.4


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_identity_is_the_unit_matrix(shape: tuple[int, int]) -> None:
    assert torch.equal(identity(2.0)(shape), 2 * torch.nn.init.eye_(torch.empty(shape)))


@pytest.mark.parametrize("shape", [(4, 4, 3), (3, 5, 3, 3), (5, 3, 4, 5), (2, 2, 3, 2, 1)], ids=str)
def test_identity_of_convolutions_is_diracs(shape: tuple[int, ...]) -> None:
    assert torch.equal(identity()(shape), torch.nn.init.dirac_(torch.empty(shape)))


@pytest.mark.parametrize("shape", [(500, 200), (60, 20, 3, 3)], ids=str)
def test_sparse_units_have_a_fixed_number_of_weights(shape: tuple[int, ...]) -> None:
    W = sparse()(shape, generator(0), dtype=torch.float64).flatten(1).numpy()
    assert np.all(np.count_nonzero(W, axis=1) == 15)
    units, inputs = W.shape
    counts = np.count_nonzero(W, axis=0)  # places are uniform: chi² of inputs - 1 degrees
    expected = units * 15 / inputs
    # Places of one unit are drawn without replacement, which shrinks the variance by this:
    chi2 = np.sum((counts - expected) ** 2) / expected / (1 - 15 / inputs)
    assert stats.chi2(inputs - 1).ppf(1e-4) < chi2 < stats.chi2(inputs - 1).ppf(1 - 1e-4)


def test_sparse_weights_are_normal() -> None:
    W = sparse(nonzeros=40, stddev=0.5)((5000, 100), generator(0), dtype=torch.float64).numpy()
    values = W[W != 0]
    assert values.size == 200_000
    distance = stats.kstest(values, stats.norm(0, 0.5).cdf).statistic
    assert math.sqrt(values.size) * distance < 2.2


def test_sparse_units_with_few_inputs_have_them_all() -> None:
    assert sparse(nonzeros=15)((8, 4), generator(0)).count_nonzero() == 32


def test_what_is_impossible_is_refused() -> None:
    for name in ("orthogonal", "identity", "sparse"):
        with pytest.raises(SettingError, match=rf"{name} cannot fill the shape \(3,\)"):
            get(name)((3,))
    for bad in (0, 1.5, True):
        with pytest.raises(SettingError, match="expected a whole number from 1 on"):
            sparse(nonzeros=bad)
    with pytest.raises(SettingError, match="stddev=-1"):
        sparse(stddev=-1)
    with pytest.raises(SettingError, match="gain=nan"):
        orthogonal(math.nan)
