"""What other tools read is what was stored."""

from __future__ import annotations

import csv
import math
from contextlib import closing

import pytest

from ravine.cli import main
from ravine.comparison.store import Store
from ravine.errors import FolderError, UnknownNameError
from ravine.export import FORMATS, export
from ravine.training.lane import Member
from ravine.training.records import Point, Run, Trial

ADAM = Run(
    Trial("adam", {"lr": 0.003, "beta1": 0.9}, 7),
    (Point(0, 2.5, 2.4, 0.9), Point(10, 0.5, 0.6, 0.125)),
)
SGD = Run(
    Trial("sgd", {"lr": 3.0}, 8), (Point(0, 2.5, 2.4, 0.9), Point(10, math.nan, math.inf, 0.95))
)
AGAIN = Run(Trial("adam", {"lr": 0.003, "beta1": 0.9}, 1002), (Point(0, 2.0, 2.0, 0.8),))
TABLE = [
    ("selection", "adam", 0.9, 0.003, 7, 0, 2.5, 2.4, 0.9, None),
    ("selection", "adam", 0.9, 0.003, 7, 10, 0.5, 0.6, 0.125, None),
    ("selection", "sgd", None, 3.0, 8, 0, 2.5, 2.4, 0.9, None),
    ("selection", "sgd", None, 3.0, 8, 10, math.nan, math.inf, 0.95, None),
    ("final", "adam", 0.9, 0.003, 1002, 0, 2.0, 2.0, 0.8, 0.25),
]
COLUMNS = [
    *("stage", "procedure", "beta1", "lr", "seed", "step", "training_cost", "validation_cost"),
    *("validation_metric", "test_metric"),
]


@pytest.fixture
def folder(tmp_path):
    with closing(Store(tmp_path / "run")) as store:
        store.set_facts(problem={"name": "digits", "metric": "error_rate", "maximize": False})
        store.save("selection", [Member(ADAM), Member(SGD)])
        store.save("final", [Member(AGAIN)])
        store.save_tests("final", [(AGAIN.trial, 0.25)])
    return tmp_path / "run"


def same(a, b) -> bool:
    both_nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    return both_nan or a == b


def test_csv_has_a_row_for_each_evaluation(folder):
    path = export(folder, "csv")
    assert path == folder / "runs.csv"
    with path.open() as file:
        head, *body = csv.reader(file)
    assert head == COLUMNS
    for row, expected in zip(body, TABLE, strict=True):
        for cell, value in zip(row, expected, strict=True):
            found = cell if isinstance(value, str) else float(cell) if cell else None
            assert same(found, value)


def test_parquet_has_the_same_typed(folder, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    table = pq.read_table(export(folder, "parquet", tmp_path / "other.parquet"))
    assert table.column_names == COLUMNS
    for i, expected in enumerate(TABLE):
        row = [table.column(name)[i].as_py() for name in COLUMNS]
        assert all(map(same, row, expected))
    assert str(table.schema.field("step").type) == "int64"
    assert str(table.schema.field("lr").type) == "double"


def test_optuna_ranks_the_trials_itself(folder):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    path = export(folder, "optuna")
    study = optuna.load_study(study_name="digits", storage=f"sqlite:///{path}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.best_trial.params == {"procedure": "adam", "lr": 0.003, "beta1": 0.9}
    assert study.best_value == 0.125
    assert study.trials[0].intermediate_values == {0: 0.9, 10: 0.125}
    assert study.trials[2].user_attrs == {"stage": "final", "seed": 1002, "test_metric": 0.25}


def test_tensorboard_reads_the_curves(folder):
    event = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    place = export(folder, "tensorboard")
    curves = event.EventAccumulator(str(place / "adam/beta1=0.9,lr=0.003/selection-seed-7"))
    curves.Reload()
    for tag, values in (
        ("training_cost", (2.5, 0.5)),
        ("validation_cost", (2.4, 0.6)),
        ("validation_error_rate", (0.9, 0.125)),
    ):
        found = [(e.step, e.value) for e in curves.Scalars(tag)]
        assert found == [(0, pytest.approx(values[0])), (10, pytest.approx(values[1]))]


def test_what_cannot_be_exported(folder, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown format 'cvs'; did you mean csv"):
        export(folder, "cvs")
    with pytest.raises(FolderError, match=r"holds no run.sqlite"):
        export(tmp_path, "csv")
    export(folder, "csv")
    before = (folder / "runs.csv").read_text()
    with pytest.raises(
        FolderError, match=r"runs.csv is there already; name another one with --out"
    ):
        export(folder, "csv")
    assert (folder / "runs.csv").read_text() == before
    with pytest.raises(FolderError, match="cannot write to"):
        export(folder, "csv", tmp_path / "nowhere" / "runs.csv")
    with closing(Store(tmp_path / "empty")):
        pass
    with pytest.raises(FolderError, match="holds no run yet"):
        export(tmp_path / "empty", "csv")


@pytest.mark.parametrize("to", FORMATS)
def test_a_missing_folder_is_one_line(to, folder, tmp_path, capsys):
    place = tmp_path / "nodir" / "runs"
    assert main(["export", str(folder), "--to", to, "--out", str(place)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    said = f"ravine: error: cannot write to {place.parent}: it is no folder; name a file in one"
    assert printed.err == f"{said} with --out\n"
    assert not place.parent.exists()


@pytest.mark.parametrize("to", FORMATS)
def test_what_fails_leaves_nothing_that_blocks_the_next_export(to, folder, monkeypatch):
    _, name = FORMATS[to]
    before = sorted(path.name for path in folder.iterdir())

    def fail(runs, problem, place):
        place.write_text("half") if place.suffix else place.mkdir()
        raise OSError("the disk is full")

    monkeypatch.setitem(FORMATS, to, (fail, name))
    with pytest.raises(FolderError, match=r"cannot write to .*the disk is full"):
        export(folder, to)
    assert sorted(path.name for path in folder.iterdir()) == before
    monkeypatch.setitem(FORMATS, to, (lambda runs, problem, place: place.write_text("whole"), name))
    assert export(folder, to).read_text() == "whole"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, name])


def test_what_optunas_database_says_is_one_line(folder, monkeypatch, capsys):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    from sqlalchemy.exc import OperationalError

    def full(*_):
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(optuna.study.Study, "add_trials", full)
    assert main(["export", str(folder), "--to", "optuna"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ravine: error: cannot write to {folder}: ")
    assert "database or disk is full" in line
    monkeypatch.undo()
    assert main(["export", str(folder), "--to", "optuna"]) == 0
