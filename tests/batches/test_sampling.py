"""The same minibatches through torch's DataLoader."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from ravine.batches import Batches, sampler, shuffled, stored, stream
from ravine.errors import SettingError
from tests.batches.examples import Counted, orders


@pytest.mark.parametrize("last", ["drop", "keep"])
@pytest.mark.parametrize("name", [name for name in orders(22) if name != "stream"])
def test_every_step_is_that_of_batches(name: str, last: str) -> None:
    order = orders(22)[name]
    batches = Batches([3], 22, 5, "cpu", [order], last)
    for start in (0, 1, 9):
        given = list(islice(sampler(order, 22, 5, 3, last, start), 12))
        assert given == [batches.at(start + i)[0].tolist() for i in range(12)]


@pytest.mark.parametrize("last", ["drop", "keep"])
def test_a_loader_with_two_workers_gives_every_step(last: str) -> None:
    order, data = orders(22)["spread"], Counted(22)
    inputs, targets = data.tensors()
    batches = Batches([3], 22, 5, "cpu", [order], last)
    steps = sampler(order, 22, 5, 3, last, start=2, steps=11)
    loader = DataLoader(data, batch_sampler=steps, num_workers=2)
    assert len(loader) == 11
    for step, (x, y) in enumerate(loader, start=2):
        index = batches.at(step)[0]
        assert torch.equal(x, inputs[index])
        assert torch.equal(y, targets[index])
    assert step == 12


def test_every_iteration_begins_again() -> None:
    steps = sampler(shuffled(), 10, 4, 0, steps=5)
    assert list(steps) == list(steps)


def test_stored_order_is_torchs() -> None:
    for last in ("drop", "keep"):
        theirs = BatchSampler(SequentialSampler(range(11)), 3, drop_last=last == "drop")
        assert list(sampler(stored(), 11, 3, 0, last, steps=len(theirs))) == list(theirs)


def test_length_is_known_where_there_is_an_end() -> None:
    assert len(sampler(shuffled(), 10, 4, 0, steps=7)) == 7
    assert len(sampler(stream(), 10, 4, 0)) == 2
    assert len(sampler(stream(), 10, 4, 0, last="keep", start=1)) == 2
    assert len(sampler(stream(), 10, 4, 0, start=5)) == 0
    with pytest.raises(TypeError, match="endless"):
        len(sampler(shuffled(), 10, 4, 0))


def test_a_stream_ends() -> None:
    """Also ahead of time, where a loader's workers prefetch."""
    assert list(sampler(stream(), 10, 4, 0, start=1)) == [[4, 5, 6, 7]]
    loader = DataLoader(Counted(10), batch_sampler=sampler(stream(), 10, 4, 0), num_workers=1)
    assert [y.tolist() for _, y in loader] == [[0, 1, 2, 3], [0, 1, 2, 3]]
    with pytest.raises(SettingError, match="ended after 10 examples"):
        sampler(stream(), 10, 4, 0, steps=3)


def test_what_cannot_be_sampled_is_said() -> None:
    with pytest.raises(SettingError, match="start=-1"):
        sampler(stored(), 10, 4, 0, start=-1)
    with pytest.raises(SettingError, match=r"steps=2\.5"):
        sampler(stored(), 10, 4, 0, steps=2.5)
    with pytest.raises(SettingError, match="batch_size=0"):
        sampler(stored(), 10, 0, 0)
