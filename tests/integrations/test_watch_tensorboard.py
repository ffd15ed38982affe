"""Readings as scalars: what is written is what was measured, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Name
from ravine.integrations.tensorboard import LiveScalars, write_scalars


class Writer:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, int]] = []

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.rows.append((tag, scalar_value, global_step))


def history(steps: int = 4) -> History:
    found = History()
    for step in range(steps):
        found.add(step, {Name("loss"): 1 / (step + 1)})
        if step % 2 == 0:
            found.add(step, {Name("update_ratio", "0.weight"): 0.5 * step})
    return found


def test_every_point_has_its_tag_and_step():
    writer = Writer()
    write_scalars(history(), writer)
    assert writer.rows == [
        *(("loss", 1 / (step + 1), step) for step in range(4)),
        *(("update_ratio/0.weight", 0.5 * step, step) for step in (0, 2)),
    ]


def test_only_what_came_since_is_written():
    writer = Writer()
    write_scalars(history(), writer, since=2)
    assert [(tag, step) for tag, _, step in writer.rows] == [
        *(("loss", step) for step in (2, 3)),
        ("update_ratio/0.weight", 2),
    ]


def test_a_live_run_writes_each_point_once():
    """A series that ends a step later than another loses nothing."""
    writer, found = Writer(), history(2)
    scalars = LiveScalars(writer)
    scalars.write(found)
    found.add(2, {Name("update_ratio", "0.weight"): 1.0})
    scalars.write(found)
    found.add(2, {Name("loss"): 1 / 3})
    found.add(3, {Name("loss"): 1 / 4})
    scalars.write(found)
    scalars.write(found)
    whole = Writer()
    write_scalars(history(), whole)
    assert sorted(writer.rows) == sorted(whole.rows)


def test_tensorboard_reads_what_was_written(tmp_path: Path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        write_scalars(history(), writer)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["loss", "update_ratio/0.weight"]
    read = [(event.step, event.value) for event in events.Scalars("loss")]
    assert [step for step, _ in read] == list(range(4))
    assert [v for _, v in read] == pytest.approx([1 / (step + 1) for step in range(4)], rel=1e-6)
