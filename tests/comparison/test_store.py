"""The run folder: what is refused, and that nothing stored is lost."""

from __future__ import annotations

import math
import re
import shutil
import sqlite3

import pytest
import torch

from ravine.comparison.store import FILE, Store
from ravine.errors import FolderError
from ravine.training.lane import Member
from ravine.training.records import Point, Run, Trial
from tests.disturbed import finish, saved, start

TRIAL = Trial("sgd", {"lr": 0.1}, 7)
CURVE = (Point(0, 1.0, 2.0, 0.5), Point(3, math.nan, math.inf, 0.25))


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "run")
    yield opened
    opened.close()


def test_a_member_comes_back_as_it_was_saved(tmp_path):
    snapshot = {"weights": torch.randn(5, dtype=torch.float64), "state": {"step": torch.ones(())}}
    store = Store(tmp_path)
    store.save("final", [Member(Run(TRIAL, CURVE), snapshot)])
    store.close()
    again = Store(tmp_path)
    member = again.member("final", TRIAL)
    again.close()
    assert member.run.curve[0] == CURVE[0]
    assert math.isnan(member.run.curve[1].cost)
    assert member.run.curve[1].validation_cost == math.inf
    assert member.run.diverged_at == 3
    assert torch.equal(member.snapshot["weights"], snapshot["weights"])
    assert torch.equal(member.snapshot["state"]["step"], snapshot["state"]["step"])


def test_points_that_are_stored_are_never_overwritten(store):
    store.save("final", [Member(Run(TRIAL, CURVE[:1]), {})])
    store.save("final", [Member(Run(TRIAL, (Point(0, 9.0, 9.0, 9.0), CURVE[1])), {})])
    assert store.run("final", TRIAL).curve[0] == CURVE[0]


def test_a_failed_save_leaves_nothing(store):
    good = Member(Run(TRIAL, CURVE[:1]), {})
    bad = Member(Run(Trial("adam", {"lr": 0.1}, 7), CURVE[:1]), {"weights": lambda: None})
    with pytest.raises(Exception, match="pickle"):
        store.save("final", [good, bad])
    assert store.runs("final") == []


def test_snapshots_are_forgotten_but_curves_stay(store):
    other = Trial("sgd", {"lr": 0.2}, 7)
    store.save(
        "final", [Member(Run(t, CURVE[:1]), {"weights": torch.ones(1)}) for t in (TRIAL, other)]
    )
    store.forget_snapshots("final", keep=[other])
    assert store.member("final", TRIAL).snapshot is None
    assert store.member("final", other).snapshot is not None
    assert store.run("final", TRIAL).curve == CURVE[:1]


def test_one_process_at_a_time(store):
    with pytest.raises(FolderError, match="in use by another ravine process"):
        Store(store.folder)


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FolderError, match=r"holds 'thesis.tex' but no run.sqlite"):
        Store(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_programs_database_is_refused_and_kept(tmp_path):
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("CREATE TABLE music (title TEXT)")
    other.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(FolderError, match="not written by ravine"):
        Store(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_newer_format_is_refused(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(FolderError, match="format 99"):
        Store(tmp_path)


@pytest.mark.parametrize("damage", ["overwritten", "garbage", "cut"])
def test_a_damaged_database_is_refused_and_kept(tmp_path, finished, damage):
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / FILE
    data = bytearray(file.read_bytes())
    if damage == "overwritten":
        data[4096 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4096)
    elif damage == "garbage":
        data[:] = b"not a database at all" * 100
    else:
        del data[len(data) // 3 :]
    file.write_bytes(data)
    with pytest.raises(FolderError, match="damaged"):
        Store(tmp_path / "run")
    assert file.read_bytes() == bytes(data)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(FolderError, match="choose another --out"):
        Store(tmp_path / "run")


def test_an_empty_file_left_by_a_kill_is_begun_anew(tmp_path):
    (tmp_path / FILE).touch()
    store = Store(tmp_path)
    store.set_facts(a=[1, 2])
    assert store.fact("a") == [1, 2]
    store.close()


def test_runs_come_in_the_order_in_which_they_were_entered(store):
    others = [Trial("sgd", {"lr": rate}, 7) for rate in (0.3, 0.2)]
    store.enter("final", [TRIAL, *others])
    assert store.runs("final") == []  # none has begun
    for trial in (others[1], TRIAL):
        store.save("final", [Member(Run(trial, CURVE[:1]), {})])
    assert [run.trial for run in store.runs("final")] == [TRIAL, others[1]]


def test_a_curve_is_the_same_however_it_was_saved(store):
    curve = tuple(Point(step, 1 / (step + 3), math.pi * step, step / 7) for step in range(9))
    for points in (1, 2, 2, 9):
        store.save("final", [Member(Run(TRIAL, curve[:points]), {})])
        assert store.run("final", TRIAL).curve == curve[:points]
    assert store.runs("final") == [Run(TRIAL, curve)]
    assert [point.step for point in store.run("final", TRIAL).curve] == list(range(9))


@pytest.mark.parametrize("largest_file", [3_000, 60_000])
def test_a_disk_without_room_loses_nothing(tmp_path, largest_file):
    """Files may grow so far and no further (RLIMIT_FSIZE), as on a full disk."""
    out = tmp_path / "run"
    _, said = start(out, "--lane", "serial", largest_file=largest_file).communicate()
    assert re.search(r"ravine: error: cannot write .*make room and type the same command", said)
    before = saved(out)
    assert bool(before) == (largest_file > 3_000)
    if before:
        finish(start(out, "--lane", "serial"))
        assert before.items() <= saved(out).items()
