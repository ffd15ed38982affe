"""Minibatches of several runs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ravine.batches import Batches, Order, per_epoch, shuffled, stored, stream
from ravine.errors import SettingError
from tests.batches.examples import orders

CPU = torch.device("cpu")


def test_an_epoch_sees_every_example_once() -> None:
    batches = Batches([3], examples=12, batch_size=4, device=CPU)
    seen = torch.cat([batches.at(step)[0] for step in range(3)])
    assert seen.sort().values.tolist() == list(range(12))


def test_epochs_differ_and_the_last_smaller_batch_is_left_out() -> None:
    batches = Batches([3], examples=14, batch_size=4, device=CPU)
    assert per_epoch(14, 4) == 3
    epochs = [torch.cat([batches.at(e * 3 + i)[0] for i in range(3)]) for e in range(50)]
    assert all(len(set(epoch.tolist())) == 12 for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 50
    assert len(set(torch.cat(epochs).tolist())) == 14


def test_a_last_smaller_batch_may_be_kept() -> None:
    assert per_epoch(14, 4, last="keep") == 4
    batches = Batches([3, 4], examples=14, batch_size=4, device=CPU, last="keep")
    for epoch in range(3):
        parts = [batches.at(epoch * 4 + i) for i in range(4)]
        assert [tuple(part.shape) for part in parts] == [(2, 4), (2, 4), (2, 4), (2, 2)]
        for run, seed in enumerate((3, 4)):
            whole = torch.cat([part[run] for part in parts])
            assert torch.equal(whole, shuffled().epoch(seed, epoch, 14))


@pytest.mark.parametrize(
    ("examples", "batch_size", "drop", "keep"),
    [(12, 4, 3, 3), (13, 4, 3, 4), (5, 64, 1, 1), (7, 7, 1, 1), (7, 1, 7, 7), (1, 1, 1, 1)],
)
def test_steps_of_an_epoch(examples: int, batch_size: int, drop: int, keep: int) -> None:
    assert per_epoch(examples, batch_size) == drop
    assert per_epoch(examples, batch_size, last="keep") == keep


def test_a_step_is_the_same_whatever_came_before_and_whoever_is_beside() -> None:
    alone = Batches([5], examples=20, batch_size=4, device=CPU)
    crowd = Batches([1, 5, 5, 2], examples=20, batch_size=4, device=CPU)
    for step in (7, 3, 12, 0):
        assert torch.equal(alone.at(step)[0], crowd.at(step)[1])
        assert torch.equal(crowd.at(step)[1], crowd.at(step)[2])
        assert not torch.equal(crowd.at(step)[0], crowd.at(step)[1])


def test_runs_may_differ_in_their_order() -> None:
    chosen = [order for name, order in orders(20).items() if name != "stream"]
    crowd = Batches([3] * len(chosen), 20, 6, CPU, chosen, last="keep")
    for run, order in enumerate(chosen):
        for step in (0, 3, 5, 11):
            epoch, position = divmod(step, 4)
            expected = order.epoch(3, epoch, 20)[6 * position : 6 * position + 6]
            assert torch.equal(crowd.at(step)[run], expected)


class Counting(Order):
    """An order of a user's own, which counts how often it is computed."""

    name = "counting"

    def __init__(self) -> None:
        self.computed = 0

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        self.computed += 1
        return (torch.arange(examples) + seed + epoch) % examples


def test_runs_of_one_seed_and_order_share_the_computation() -> None:
    order = Counting()
    batches = Batches([1, 2, 1, 1], 6, 3, CPU, [order] * 4)
    batches.at(0)
    batches.at(1)
    assert order.computed == 2
    assert batches.at(2).tolist() == [[2, 3, 4], [3, 4, 5], [2, 3, 4], [2, 3, 4]]
    assert order.computed == 4


def test_a_batch_larger_than_the_data_is_the_full_batch() -> None:
    batches = Batches([0], examples=5, batch_size=64, device=CPU)
    for step in range(3):
        assert sorted(batches.at(step)[0].tolist()) == list(range(5))


def test_a_batch_of_one_is_a_single_example() -> None:
    batches = Batches([0], 5, 1, CPU, [stored()])
    assert [batches.at(step).tolist() for step in range(6)] == [[[i % 5]] for i in range(6)]


def test_a_stream_has_so_many_steps() -> None:
    batches = Batches([0, 0], 14, 4, CPU, [shuffled(), stream()])
    assert batches.steps == 3
    assert batches.at(2)[1].tolist() == [8, 9, 10, 11]
    with pytest.raises(SettingError, match="ended after 14 examples"):
        batches.at(3)
    assert Batches([0], 14, 4, CPU, [stream()], last="keep").steps == 4
    assert Batches([0], 14, 4, CPU).steps is None
    twice = Counting()
    twice.epochs = 2
    assert Batches([0], 14, 4, CPU, [twice]).steps == 6
    assert Batches([0] * 3, 14, 4, CPU, [twice, stream(), stored()]).steps == 3


class Odd(Order):
    """Gives what no order may give."""

    name = "odd"

    def __init__(self, indices: Tensor) -> None:
        self.indices = indices

    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        return self.indices


def test_what_cannot_be_batches_is_said() -> None:
    with pytest.raises(SettingError, match="batch_size=0; expected a whole number from 1 on"):
        Batches([0], 5, 0, CPU)
    with pytest.raises(SettingError, match=r"batch_size=1\.5"):
        per_epoch(5, 1.5)
    with pytest.raises(SettingError, match="examples=0"):
        Batches([0], 0, 5, CPU)
    with pytest.raises(SettingError, match="last='pad'; expected 'drop' or 'keep'"):
        Batches([0], 5, 2, CPU, last="pad")
    with pytest.raises(SettingError, match="1 orders of examples for 2 runs"):
        Batches([0, 1], 5, 2, CPU, [stored()])
    for indices, said in (
        (torch.arange(4), r"torch.int64 \[4\]"),
        (torch.arange(5.0), r"torch.float32 \[5\]"),
    ):
        with pytest.raises(SettingError, match=rf"'odd' gave {said}; expected torch.int64 \[5\]"):
            Batches([0], 5, 2, CPU, [Odd(indices)]).at(0)
    for outside, span in (([0, 1, 2, 3, 5], "0 to 5"), ([-1, 1, 2, 3, 4], "-1 to 4")):
        message = f"'odd' gave indices from {span} in epoch 1; expected indices of examples, 0 to 4"
        with pytest.raises(SettingError, match=message):
            Batches([0], 5, 2, CPU, [Odd(torch.tensor(outside))]).at(2)
