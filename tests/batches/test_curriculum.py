"""Curriculum: the pacing in numbers, and what each epoch draws from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from ravine.batches import Batches, ExponentialPacing, LinearPacing, curriculum
from ravine.errors import SettingError

SCORES = torch.from_numpy(np.random.default_rng(0).normal(size=100))
EASIEST = np.argsort(SCORES.numpy())


@pytest.mark.parametrize(
    ("pacing", "shares"),
    [
        (ExponentialPacing(), [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]),
        (ExponentialPacing(0.04, 1.9, 2), [0.04, 0.04, 0.076, 0.076, 0.1444, 0.1444, 0.27436]),
        (ExponentialPacing(0.5, 2.0, 3), [0.5, 0.5, 0.5, 1.0, 1.0]),
        (LinearPacing(0.2, 4), [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]),
        (LinearPacing(1.0, 1), [1.0, 1.0]),
    ],
)
def test_pacing_in_numbers(pacing, shares: list[float]) -> None:
    ours = [pacing(epoch) for epoch in range(len(shares))]
    assert np.max(np.abs(np.array(ours) - shares)) <= 1e-14
    assert pacing(10**6) == 1.0


@pytest.mark.parametrize("pacing", [ExponentialPacing(0.07, 1.7), LinearPacing(0.01, 7)])
def test_an_epoch_draws_evenly_from_the_easiest(pacing) -> None:
    order = curriculum(SCORES, pacing)
    for epoch in range(10):
        pool = max(1, round(pacing(epoch) * 100))
        drawn = order.epoch(2, epoch, 100).numpy()
        assert drawn.shape == (100,)
        counts = np.bincount(drawn, minlength=100)
        assert counts[EASIEST[pool:]].sum() == 0
        assert set(counts[EASIEST[:pool]]) <= {100 // pool, -(-100 // pool)}


def test_minibatches_come_from_the_easiest_in_random_order() -> None:
    """Chi-square at level 10⁻⁴: at any place of the epoch each of the pool is equally likely."""
    batches = Batches([0], 100, 50, "cpu", [curriculum(SCORES, lambda epoch: 0.1)])
    drawn = np.stack([batches.at(step)[0].numpy() for step in range(2000)])
    for place in (0, 14, 49):
        counts = np.bincount(drawn[:, place], minlength=100)[EASIEST[:10]]
        assert counts.sum() == 2000
        assert stats.chisquare(counts).pvalue > 1e-4


def test_of_equal_scores_the_first_stored_is_easier() -> None:
    drawn = curriculum([1.0, 0.0, 1.0, 0.0, 1.0], lambda epoch: 0.6).epoch(0, 0, 5)
    assert set(drawn.tolist()) == {0, 1, 3}


def test_an_infinite_score_is_the_hardest() -> None:
    drawn = curriculum([float("inf"), 2.0, 1.0, 3.0], lambda epoch: 0.75).epoch(0, 0, 4)
    assert 0 not in drawn.tolist()


def test_what_cannot_be_a_curriculum_is_said() -> None:
    with pytest.raises(SettingError, match="scores hold 2 NaN of 3"):
        curriculum([float("nan"), 1.0, float("nan")])
    for scores in (["a", "b"], [None, 1.0], [[1.0], [2.0, 3.0]]):
        with pytest.raises(SettingError, match=r"scores cannot be read as numbers .*expected one"):
            curriculum(scores)
    with pytest.raises(SettingError, match=r"scores have shape \[2, 1\]"):
        curriculum(torch.zeros(2, 1))
    with pytest.raises(SettingError, match="scores of 100 examples, the training data have 99"):
        curriculum(SCORES).epoch(0, 0, 99)
    with pytest.raises(SettingError, match=r"share of epoch 3=1.5"):
        curriculum(SCORES, lambda epoch: epoch / 2).epoch(0, 3, 100)
    for make in (ExponentialPacing, LinearPacing):
        for start in (0.0, -1.0, 1.1, float("nan")):
            with pytest.raises(SettingError, match="start="):
                make(start)
    with pytest.raises(SettingError, match="growth=1"):
        ExponentialPacing(0.1, 1.0)
    with pytest.raises(SettingError, match="every=0"):
        ExponentialPacing(0.1, 2.0, 0)
    with pytest.raises(SettingError, match="epochs=0"):
        LinearPacing(0.1, 0)
