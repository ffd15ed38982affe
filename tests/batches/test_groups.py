"""Orders of examples that come in groups: the notes' five blood samples of each patient."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, permutations

import numpy as np
import pytest
import torch
from scipy import stats

from ravine.batches import Batches, grouped, spread
from ravine.errors import SettingError

PATIENTS, SAMPLES = 20, 5
PATIENT = torch.arange(PATIENTS).repeat_interleave(SAMPLES)
SIZES = [
    (5,) * 20,
    (7, 3, 3, 1),
    (1, 1, 1),
    (4,),
    (6, 6, 1),
    (9, 8, 8, 2, 1, 1),
    (3, 2, 2),
    (2, 2, 1),
]


def test_whole_patients_stay_together() -> None:
    order = grouped(PATIENT)
    for epoch in range(5):
        patients = PATIENT[order.epoch(0, epoch, 100)].tolist()
        assert len(list(groupby(patients))) == PATIENTS
    batches = Batches([0], 100, SAMPLES, "cpu", [order])
    for step in range(40):
        assert len(PATIENT[batches.at(step)[0]].unique()) == 1


def test_groups_and_their_samples_are_shuffled() -> None:
    """Chi-square at level 10⁻⁴ over 3! orders of groups times 2! of the samples of each."""
    order = grouped(["a", "a", "b", "b", "c", "c"])
    seen = Counter(tuple(order.epoch(0, epoch, 6).tolist()) for epoch in range(4800))
    assert len(seen) == 48
    assert stats.chisquare(list(seen.values())).pvalue > 1e-4


@pytest.mark.parametrize("batch_size", range(1, PATIENTS + 1))
def test_no_minibatch_of_up_to_as_many_as_patients_holds_two_of_one(batch_size: int) -> None:
    batches = Batches([0, 1], 100, batch_size, "cpu", [spread(PATIENT)] * 2, last="keep")
    for step in range(3 * -(-100 // batch_size)):
        for row in batches.at(step):
            assert len(PATIENT[row].unique()) == len(row)


def nearest(groups: np.ndarray) -> int:
    """The least distance of two samples of one group, around the end too."""
    n = len(groups)
    gaps = [d for d in range(1, n) if (groups == np.roll(groups, d)).any()]
    return min(gaps, default=n)


@pytest.mark.parametrize("sizes", SIZES)
def test_samples_of_a_group_are_as_far_apart_as_said(sizes: tuple[int, ...]) -> None:
    groups = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    n = len(groups)
    order = spread(torch.from_numpy(groups))
    for epoch in range(20):
        assert nearest(groups[order.epoch(0, epoch, n).numpy()]) >= n // max(sizes)


@pytest.mark.parametrize("sizes", [(3, 2, 2), (3, 3, 1), (4, 2, 1), (2, 2, 2), (2, 1, 1, 1)])
def test_no_order_spreads_more(sizes: tuple[int, ...]) -> None:
    """Brute force over all arrangements."""
    groups = [g for g, size in enumerate(sizes) for _ in range(size)]
    best = max(nearest(np.array(p)) for p in set(permutations(groups)))
    assert best == len(groups) // max(sizes)


def test_every_sample_may_come_first() -> None:
    """Chi-square at level 10⁻⁴, with groups of unequal size."""
    order = spread([0, 0, 0, 1, 1, 2])
    drawn = [int(order.epoch(0, epoch, 6)[0]) for epoch in range(3000)]
    assert stats.chisquare(np.bincount(drawn, minlength=6)).pvalue > 1e-4


def test_groups_of_one_size_follow_each_other_in_any_order() -> None:
    """Chi-square at level 10⁻⁴ over the 3! orders of the groups of a round."""
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    drawn = [groups[spread(groups).epoch(0, epoch, 6)][:3] for epoch in range(3000)]
    seen = Counter(tuple(row.tolist()) for row in drawn)
    assert len(seen) == 6
    assert stats.chisquare(list(seen.values())).pvalue > 1e-4


@pytest.mark.parametrize("make", [grouped, spread])
def test_groups_that_do_not_cover_the_data_are_said(make) -> None:
    with pytest.raises(SettingError, match="groups of 100 examples, the training data have 101"):
        make(PATIENT).epoch(0, 0, 101)
    with pytest.raises(SettingError, match=r"groups hold nan"):
        make(torch.tensor([1.0, float("nan")]))
