"""Examples that are read as they are needed, against the same examples in memory."""

from __future__ import annotations

import multiprocessing

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from ravine.batches import (
    Batches,
    InMemory,
    Loaded,
    Order,
    Streamed,
    shuffled,
    shuffled_once,
    stored,
    stream,
)
from ravine.errors import SettingError
from tests.batches.examples import Counted, Source

SEEDS = [0, 1, 0, 0]
ORDERS: list[Order] = [shuffled(), shuffled(), shuffled_once(), shuffled()]


def same(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> bool:
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("last", ["drop", "keep"])
def test_read_or_in_memory_every_bit_is_the_same(last: str, workers: int) -> None:
    data = Counted(22)
    memory = InMemory(*data.tensors(), Batches(SEEDS, 22, 5, "cpu", ORDERS, last))
    with Loaded(data, ORDERS, SEEDS, 5, last, workers) as feed:
        for step in (0, 1, 2, 3, 4, 5, 6, 3, 4, 4, 20, 21, 0):
            assert same(feed.at(step), memory.at(step)), step
    with Loaded(data, ORDERS, SEEDS, 5, last, workers) as resumed:
        for step in (7, 8, 9):
            assert same(resumed.at(step), memory.at(step)), step


def test_only_what_is_asked_for_is_read() -> None:
    """Of 10⁶ examples; equal runs read once, a step asked for again is not read again."""
    data = Counted(10**6)
    with Loaded(data, [stored()] * 3, [0, 1, 0], 8) as feed:
        for step in (5, 6, 6, 7, 7):
            x, _ = feed.at(step)
            assert x[:, :, 0].tolist() == [list(map(float, range(8 * step, 8 * step + 8)))] * 3
        assert data.reads.value == 3 * 2 * 8
        feed.at(1)
        assert data.reads.value == 4 * 2 * 8


def test_workers_read_no_further_than_torch_prefetches() -> None:
    data = Counted(10**5)
    with Loaded(data, [shuffled()], [0], 8, workers=2) as feed:
        for step in range(3):
            feed.at(step)
    assert 3 * 8 <= data.reads.value <= (3 + 2 * 2) * 8


def test_workers_end_with_the_feed_and_where_it_is_opened_anew() -> None:
    before = len(multiprocessing.active_children())
    feed = Loaded(Counted(22), ORDERS, SEEDS, 5, workers=2)
    assert len(multiprocessing.active_children()) == before
    for step in (0, 1, 9, 3):
        feed.at(step)
        assert len(multiprocessing.active_children()) == before + 2
    feed.close()
    assert len(multiprocessing.active_children()) == before
    assert feed.at(1)[0].shape == (4, 5, 2)  # opens again
    feed.close()
    feed.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_takes_no_random_numbers_of_the_run(workers: int) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with Loaded(Counted(22), ORDERS, SEEDS, 5, workers=workers) as feed:
        feed.at(0)
    with Streamed(Source(), 2, 5, workers=workers) as feed:
        feed.at(0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_end_of_a_stream_in_stored_order_is_said(workers: int) -> None:
    with Loaded(Counted(11), [stream()], [0], 5, workers=workers) as feed:
        assert feed.at(0)[0][0, :, 0].tolist() == [0, 1, 2, 3, 4]
        assert feed.at(1)[0][0, :, 0].tolist() == [5, 6, 7, 8, 9]
        with pytest.raises(SettingError, match="ended after 11 examples"):
            feed.at(2)
        assert feed.at(0)[0][0, 0, 0] == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_all_runs_see_the_same_of_an_endless_source(workers: int) -> None:
    with Streamed(Source(), 3, 4, workers=workers) as feed:
        for step in (0, 1, 1, 5, 6, 2, 3, 0):  # next, again, skipping, begun again
            x, y = feed.at(step)
            expected = [list(range(4 * step, 4 * step + 4))] * 3
            assert y.tolist() == expected
            assert x.tolist() == expected
            assert x.dtype == torch.float64


def test_a_source_is_begun_again_for_earlier_steps_alone() -> None:
    source = Source()
    with Streamed(source, 1, 4) as feed:
        for step, begun in ((0, 1), (1, 1), (1, 1), (5, 1), (5, 1), (4, 2), (6, 2)):
            feed.at(step)
            assert source.begun == begun


def test_workers_that_share_a_source_take_turns() -> None:
    with Streamed(Source(), 1, 3, workers=2) as feed:
        for step in (0, 1, 2, 3, 1, 6):
            first = step % 2 + 6 * (step // 2)
            assert feed.at(step)[1].tolist() == [[first, first + 2, first + 4]]


@pytest.mark.parametrize(("last", "sizes"), [("drop", [4, 4]), ("keep", [4, 4, 2])])
def test_the_end_of_a_source_is_said(last: str, sizes: list[int]) -> None:
    with Streamed(Source(10), 2, 4, last) as feed:
        assert [feed.at(step)[1].shape for step in range(len(sizes))] == [(2, n) for n in sizes]
        feed.at(0)  # what was read before it was begun again does not count
        for step in (len(sizes), len(sizes) + 5):
            with pytest.raises(
                SettingError, match=rf"ended after {sum(sizes)} examples; .*--steps"
            ):
                feed.at(step)
        assert feed.at(1)[1].tolist() == [[4, 5, 6, 7]] * 2


class Triples(Dataset):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> tuple[float, float, float]:
        return 0.0, 0.0, 0.0


class Words(IterableDataset):
    def __iter__(self):
        yield from [("a", 0), ("b", 1)]


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(SettingError, match=r"3 parts: Tensor, Tensor, Tensor; expected .* pairs"):
        Loaded(Triples(), [stored()], [0], 2).at(0)
    with pytest.raises(SettingError, match=r"2 parts: tuple, Tensor; expected .* pairs"):
        Streamed(Words(), 1, 2).at(0)
    with pytest.raises(SettingError, match=r"Source has no items by index; .*Streamed"):
        Loaded(Source(), [stored()], [0], 2)
    with pytest.raises(SettingError, match=r"Triples is not a stream; .*Loaded"):
        Streamed(Triples(), 1, 2)
    with pytest.raises(SettingError, match="2 orders of examples for 1 runs"):
        Loaded(Triples(), [stored()] * 2, [0], 2)
    with pytest.raises(SettingError, match="workers=-1"):
        Loaded(Triples(), [stored()], [0], 2, workers=-1)
    with pytest.raises(SettingError, match="runs=0"):
        Streamed(Words(), 0, 2)
    with pytest.raises(SettingError, match="batch_size=0"):
        Streamed(Words(), 1, 0)
    with pytest.raises(SettingError, match="last='pad'"):
        Streamed(Words(), 1, 2, last="pad")
