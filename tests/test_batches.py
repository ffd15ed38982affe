"""The order of examples."""

from __future__ import annotations

import torch

from ravine.batches import Batches, order, per_epoch

CPU = torch.device("cpu")


def test_an_epoch_sees_every_example_once():
    batches = Batches([3], examples=12, batch_size=4, device=CPU)
    seen = torch.cat([batches.at(step)[0] for step in range(3)])
    assert seen.sort().values.tolist() == list(range(12))


def test_epochs_differ_and_the_last_smaller_batch_is_left_out():
    batches = Batches([3], examples=14, batch_size=4, device=CPU)
    assert per_epoch(14, 4) == 3
    epochs = [torch.cat([batches.at(e * 3 + i)[0] for i in range(3)]) for e in range(50)]
    assert all(len(set(epoch.tolist())) == 12 for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 50
    assert len(set(torch.cat(epochs).tolist())) == 14


def test_a_step_is_the_same_whatever_came_before_and_whoever_is_beside():
    alone = Batches([5], examples=20, batch_size=4, device=CPU)
    crowd = Batches([1, 5, 5, 2], examples=20, batch_size=4, device=CPU)
    for step in (7, 3, 12, 0):
        assert torch.equal(alone.at(step)[0], crowd.at(step)[1])
        assert torch.equal(crowd.at(step)[1], crowd.at(step)[2])
        assert not torch.equal(crowd.at(step)[0], crowd.at(step)[1])


def test_a_batch_larger_than_the_data_is_the_full_batch():
    batches = Batches([0], examples=5, batch_size=64, device=CPU)
    assert sorted(batches.at(0)[0].tolist()) == list(range(5))


def test_the_order_is_fixed_for_all_time():
    """A stored comparison is continued with the order it was begun with."""
    assert order(0, 0, 10).tolist() == order(0, 0, 10).tolist()
    assert order(0, 0, 10).tolist() != order(0, 1, 10).tolist() != order(1, 0, 10).tolist()
