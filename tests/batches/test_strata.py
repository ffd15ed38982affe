"""Stratified order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from ravine.batches import Batches, stratified
from ravine.errors import SettingError


def deviations(labels: np.ndarray, order: np.ndarray, m: int) -> np.ndarray:
    """|N - m n_c/n| of every stretch of m, also around the end, and every class."""
    n = len(labels)
    classes = np.unique(labels)
    seen = (labels[order][:, None] == classes).astype(float)
    around = np.concatenate([seen, seen])
    counts = np.stack([around[start : start + m].sum(axis=0) for start in range(n)])
    return np.abs(counts - m * seen.mean(axis=0))


@pytest.mark.parametrize(
    "sizes",
    [
        (5, 5),
        (9, 2),
        (7, 7, 7),
        (12, 6, 3),
        (30, 1, 1, 1, 1),
        (10, 9, 8, 1),
        (10, 7, 1),
        (5, 4, 4, 3, 1),
        (4,),
        (1, 1, 1),
        (40, 3),
    ],
)
def test_every_stretch_of_any_length_is_within_the_bound(sizes: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    bound = 0.0 if len(sizes) == 1 else 2 - 1 / (len(sizes) - 1)
    for seed in range(3):
        order = stratified(torch.from_numpy(labels)).epoch(seed, seed, len(labels)).numpy()
        for m in range(1, len(labels) + 1):
            worst = deviations(labels, order, m).max()
            assert worst <= bound + 1e-9
            if all((m * size) % len(labels) == 0 for size in sizes):
                assert worst <= 1e-9


@pytest.mark.parametrize("sizes", [(6, 6, 6, 6), (1,) * 11, (3, 3, 3)])
def test_classes_of_one_size_are_rounded_up_or_down(sizes: tuple[int, ...]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    order = stratified(torch.from_numpy(labels)).epoch(0, 0, len(labels)).numpy()
    for m in range(1, len(labels) + 1):
        assert deviations(labels, order, m).max() < 1


@pytest.mark.parametrize("batch_size", [4, 8, 12])
def test_minibatches_have_the_proportions_of_the_whole(batch_size: int) -> None:
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 30)
    batches = Batches([1], 120, batch_size, "cpu", [stratified(labels)])
    for step in range(30):
        counts = labels[batches.at(step)[0]].bincount(minlength=3)
        assert counts.tolist() == [batch_size // 2, batch_size // 4, batch_size // 4]


def test_every_example_may_stand_anywhere() -> None:
    """Chi-square at level 10⁻⁴, at the first place, the last, and one between."""
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])
    order = stratified(labels)
    drawn = np.stack([order.epoch(0, e, 8).numpy() for e in range(4000)])
    for place in (0, 3, 7):
        assert stats.chisquare(np.bincount(drawn[:, place], minlength=8)).pvalue > 1e-4


def test_many_classes_and_examples_need_no_number_beyond_int64() -> None:
    """The largest product is rest · parts, below 2 n²; a naive one would be n³/2."""
    from ravine.batches._strata import _ceil_of_shares

    n = 3_000_000_001
    size, parts = n // 2, 2 * (n // 2) - 2
    for member in (0, 1, size - 1):
        exact = -(-(member * parts + 1) * n // (parts * size))
        ours = _ceil_of_shares(torch.tensor([member]), torch.tensor([size]), n, parts)
        assert ours.tolist() == [exact]


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a", "b", "c"],
        torch.tensor([1, 0, 1, 2]),
        torch.tensor([[1.0], [0.0], [1.0], [2.0]]),
        np.array([7, -3, 7, 900]),
    ],
)
def test_labels_are_whole_numbers_or_words(labels: object) -> None:
    expected = stratified([1, 0, 1, 2]).epoch(0, 0, 4)
    assert torch.equal(stratified(labels).epoch(0, 0, 4), expected)


def test_what_cannot_be_labels_is_said() -> None:
    with pytest.raises(
        SettingError, match=r"stratified\(labels\): labels hold 0.5; expected whole numbers"
    ):
        stratified(torch.tensor([0.0, 0.5, 1.0]))
    for value in ("nan", "inf"):
        with pytest.raises(SettingError, match=f"labels hold {value}"):
            stratified(torch.tensor([0.0, float(value)]))
    with pytest.raises(SettingError, match=r"labels have shape \[3, 3\]; expected one per example"):
        stratified(torch.eye(3))
    with pytest.raises(SettingError, match=r"labels have shape \[0\]"):
        stratified([])
    with pytest.raises(SettingError, match="labels are object"):
        stratified([None, 1])
    with pytest.raises(SettingError, match="labels of 3 examples, the training data have 5"):
        stratified([0, 1, 1]).epoch(0, 0, 5)
