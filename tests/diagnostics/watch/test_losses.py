"""The curve of a run: means of equal stretches, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine.diagnostics.watch.losses import MOST, Losses


@pytest.mark.parametrize("steps", [1, 511, 512, 513, 1023, 1024, 5000])
def test_points_are_means_of_equal_stretches(steps):
    values = np.random.default_rng(0).standard_normal(steps)
    losses = Losses()
    for value in values:
        losses.before_backward(torch.tensor(value, requires_grad=True))
    each, series = (1 if steps < MOST else 2 ** int(np.log2(steps / MOST) + 1)), losses.series
    count = steps // each
    means = values[: count * each].reshape(count, each).mean(1)
    np.testing.assert_allclose(series.values, means, rtol=0, atol=1e-12)
    assert series.steps == [i * each + (each - 1) // 2 for i in range(count)]
    assert steps < MOST or MOST / 2 <= count < MOST


def test_what_is_not_finite_stays_in_its_stretch():
    losses = Losses()
    for step in range(2 * MOST):
        losses.before_backward(torch.tensor(float("nan") if step >= 600 else 1.0))
    assert losses.series.values[:150] == [1.0] * 150
    assert all(np.isnan(losses.series.values[150:]))


def test_a_run_that_ends_within_a_stretch_ends_with_a_point():
    losses = Losses()
    for step in range(MOST + 3):  # stretches of 2
        losses.before_backward(torch.tensor(float(step)))
    assert losses.series.values[-1] == MOST + 0.5
    losses.stop()
    assert losses.series.values[-1] == MOST + 2
    losses.stop()
    assert len(losses.series) == MOST // 2 + 2
