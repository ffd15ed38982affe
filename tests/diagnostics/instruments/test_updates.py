"""Lengths of steps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from ravine.diagnostics.instrument import Name
from ravine.diagnostics.instruments.updates import ENOUGH, LAST, Updates
from tests.diagnostics.instruments.models import alone, at, drawn, stride_of


def walk(steps: int) -> list[dict[str, Tensor]]:
    """Parameters over time."""
    return [{"w": drawn(3, 4, seed=k), "b": drawn(4, seed=100 + k)} for k in range(steps + 1)]


def flat(params: dict[str, Tensor]) -> np.ndarray:
    return np.concatenate([p.numpy().ravel() for p in params.values()])


def test_ratios_lengths_and_distance() -> None:
    path, updates = walk(5), Updates()
    for k, (before, after) in enumerate(pairwise(path)):
        readings = updates.stride(stride_of(before, after, step=k + 1))
        ratios = at(readings, "update_ratio")
        assert list(ratios) == ["w", "b"]
        for name in ("w", "b"):
            there, here = before[name].numpy(), after[name].numpy()
            expected = np.linalg.norm(here - there) / np.linalg.norm(there)
            assert ratios[name] == pytest.approx(expected, rel=1e-12)
        length = np.linalg.norm(flat(after) - flat(before))
        assert alone(readings, "step_length") == pytest.approx(length, rel=1e-12)
        distance = np.linalg.norm(flat(after) - flat(path[0]))
        assert alone(readings, "distance_from_start") == pytest.approx(distance, rel=1e-12)


def test_the_start_is_remembered_by_value() -> None:
    updates, theta = Updates(), torch.ones(2, dtype=torch.float64)
    for k in range(1, 4):
        before = {"w": theta.clone()}
        theta += torch.tensor([3.0, 4.0])
        readings = updates.stride(stride_of(before, {"w": theta}, step=k))
        assert alone(readings, "distance_from_start") == 5.0 * k
        before["w"].zero_()


def test_a_parameter_at_zero_has_no_ratio() -> None:
    before = {"w": torch.ones(4), "b": torch.zeros(4)}
    after = {"w": torch.full((4,), 1.5), "b": torch.ones(4)}
    readings = Updates().stride(stride_of(before, after))
    assert at(readings, "update_ratio") == {"w": 0.5}


def lone(lengths: list[float]) -> list[dict[Name, float]]:
    """Each step from the origin, where those that are not finite leave nothing behind."""
    updates, zero = Updates(), torch.zeros(1, dtype=torch.float64)
    steps = [stride_of({"w": zero}, {"w": zero + length}) for length in lengths]
    return [updates.stride(step) for step in steps]


def test_the_median_is_that_of_the_last_measured() -> None:
    lengths = list(np.abs(np.random.default_rng(0).normal(size=3 * LAST)))
    for k, readings in enumerate(lone(lengths)):
        if k < ENOUGH:
            assert Name("step_to_median") not in readings
        else:
            usual = np.median(lengths[max(0, k - LAST) : k])
            expected = pytest.approx(lengths[k] / usual, rel=1e-12)
            assert alone(readings, "step_to_median") == expected


def test_steps_that_are_not_finite_are_no_measure() -> None:
    """Ten of them, so that they would be most of what is remembered."""
    lengths = [*ENOUGH * [2.0], 6.0, *5 * [float("inf")], *5 * [float("nan")]]
    found = [alone(readings, "step_to_median") for readings in lone(lengths)[ENOUGH:]]
    assert found[:6] == [3.0, *5 * [float("inf")]]
    assert np.isnan(found[6:]).all()
    assert alone(lone([*lengths, 8.0])[-1], "step_to_median") == 4.0


def test_no_median_while_nothing_moves() -> None:
    assert all(Name("step_to_median") not in r for r in lone(20 * [0.0]))


def test_a_parameter_that_joins_later_starts_there() -> None:
    updates, w = Updates(), torch.zeros(1)
    updates.stride(stride_of({"w": w}, {"w": w + 3}))
    before = {"w": w + 3, "b": w + 10}
    readings = updates.stride(stride_of(before, {"w": w + 3, "b": w + 14}, step=2))
    assert alone(readings, "distance_from_start") == 5.0
