"""Examples in memory."""

from __future__ import annotations

import pytest
import torch

from ravine.batches import Batches, InMemory, shuffled, stored
from ravine.errors import SettingError
from tests.batches.examples import Counted


def test_each_run_gets_the_examples_of_its_batch() -> None:
    inputs, targets = Counted(10).tensors()
    batches = Batches([0, 1], 10, 4, "cpu", [shuffled(), stored()], last="keep")
    with InMemory(inputs, targets, batches) as feed:
        for step in (0, 2, 4):
            x, y = feed.at(step)
            for run in range(2):
                for place, example in enumerate(batches.at(step)[run].tolist()):
                    assert torch.equal(x[run, place], inputs[example])
                    assert y[run, place] == targets[example]
            assert x.shape == (2, 2 if step == 2 else 4, 2)


def test_minibatches_can_be_made_elsewhere() -> None:
    """Of what is held and what belongs to a step, as a graph does."""
    inputs, targets = Counted(10).tensors()
    with InMemory(inputs, targets, Batches([0, 1], 10, 4, "cpu", last="keep")) as feed:
        for step in (0, 2):
            made = type(feed).made(feed.held, feed.raw(step))
            for one, other in zip(made, feed.at(step), strict=True):
                assert torch.equal(one, other)
        assert len(feed.raw(2)[0][0]) == 2


def test_lengths_that_differ_are_said() -> None:
    inputs, targets = Counted(10).tensors()
    with pytest.raises(SettingError, match="10 inputs, 9 targets and batches of 10 examples"):
        InMemory(inputs, targets[:9], Batches([0], 10, 4, "cpu"))
    with pytest.raises(SettingError, match="10 inputs, 10 targets and batches of 11 examples"):
        InMemory(inputs, targets, Batches([0], 11, 4, "cpu"))
