"""The run folder's database: every run, every curve, where each member stands. One writer at a time."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from ravine.errors import FolderError
from ravine.training.lane import Member, pack, unpack
from ravine.training.records import Curve, Run, Trial

FILE = "run.sqlite"
APPLICATION_ID = 0x52415649  # "RAVI": tells our files from other programs' databases
VERSION = 4

NO_ROOM = ("disk is full", "disk I/O error")
"""What SQLite says where nothing more can be written: of a full disk, and of a file that may not grow
(a quota)."""

SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    stage TEXT NOT NULL,            -- selection | final | default
    procedure TEXT NOT NULL,        -- name of the arm
    hyper TEXT NOT NULL,            -- JSON, keys sorted
    seed INTEGER NOT NULL,
    test_metric REAL,
    UNIQUE (stage, procedure, hyper, seed)
) STRICT;
CREATE TABLE points (               -- those of one save
    trial INTEGER NOT NULL REFERENCES trials,
    first INTEGER NOT NULL,         -- step of the first of them
    curve BLOB NOT NULL,            -- see Curve.pack: 10,000 trials of 1,000 points read in a second
    saved_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now')),
    PRIMARY KEY (trial, first)
) STRICT;
CREATE TABLE snapshots (trial INTEGER PRIMARY KEY REFERENCES trials, data BLOB NOT NULL) STRICT;
"""


class Store:
    """Reads and writes `run.sqlite`. Every write is one transaction, on disk when the call returns.

    Args:
        folder: the run folder, created if missing.
        must_exist: whether a missing database is an error.

    Raises:
        FolderError: the folder cannot be written, holds something else, a damaged or newer file, or
            is in use by another process.
    """

    def __init__(self, folder: Path, must_exist: bool = False):
        self.folder = folder
        if must_exist and not (folder / FILE).is_file():
            raise FolderError(_missing(folder))
        existed = _prepare(folder)
        with explained(folder):
            self._db = sqlite3.connect(folder / FILE, isolation_level=None, timeout=0.5)
            try:
                self._begin(existed)
            except BaseException:
                self._db.close()
                raise

    def _begin(self, existed: bool) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._open() if existed and self._identity() != (0, 0) else self._create()

    def _identity(self) -> tuple[int, int]:
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        return application, self._db.execute("PRAGMA user_version").fetchone()[0]

    def _create(self) -> None:
        if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise FolderError(
                f"{self.folder / FILE} was not written by ravine; choose another --out"
            )
        self._db.execute("PRAGMA auto_vacuum = FULL")  # forgotten snapshots give their space back
        with self._transaction():
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            for statement in SCHEMA.strip().split(";\n"):
                self._db.execute(statement)

    def _open(self) -> None:
        application, version = self._identity()
        if application != APPLICATION_ID:
            raise FolderError(
                f"{self.folder / FILE} was not written by ravine; choose another --out"
            )
        if version != VERSION:
            raise FolderError(
                f"{self.folder / FILE} has format {version}, this ravine writes {VERSION}; "
                "choose another --out"
            )
        if self._db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check failed")
        with self._transaction():  # takes the exclusive lock, which this connection then keeps
            self._db.execute("UPDATE facts SET value = value WHERE name = ''")

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has ended it where the disk is full
                self._db.execute("ROLLBACK")
            raise

    def fact(self, name: str) -> Any:
        """A named fact about the comparison, or None."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_facts(self, **facts: Any) -> None:
        """Store facts (anything JSON can hold) over older ones of these names: all or none."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)",
                [(name, json.dumps(value, sort_keys=True)) for name, value in facts.items()],
            )

    def enter(self, stage: str, trials: Iterable[Trial]) -> None:
        """Put trials down in the order in which `runs` will give them, whichever is saved first."""
        with self._transaction():
            for trial in trials:
                self._trial_id(stage, trial)

    def save(self, stage: str, members: Sequence[Member]) -> None:
        """Make the members' new points and snapshots durable, all of them or none.

        A member without a snapshot is not continued any more: its stored one is dropped.
        """
        with self._transaction():
            for member in members:
                trial = self._trial_id(stage, member.run.trial)
                new = member.run.curve[len(self._curve(trial)) :]
                if new:
                    self._db.execute(
                        "INSERT INTO points (trial, first, curve) VALUES (?, ?, ?)",
                        (trial, new[0].step, new.pack()),
                    )
                if member.snapshot is None:
                    self._db.execute("DELETE FROM snapshots WHERE trial = ?", (trial,))
                else:
                    self._db.execute(
                        "INSERT OR REPLACE INTO snapshots VALUES (?, ?)",
                        (trial, pack(member.snapshot)),
                    )

    def save_tests(self, stage: str, metrics: Iterable[tuple[Trial, float]]) -> None:
        """Store the test metric of runs, and the fact "tested": all of it or nothing."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES ('tested', 'true')")
            for trial, metric in metrics:
                self._db.execute(
                    "UPDATE trials SET test_metric = ? WHERE id = ?",
                    (metric, self._trial_id(stage, trial)),
                )

    def forget_snapshots(self, stage: str, keep: Sequence[Trial]) -> None:
        """Drop the snapshots of a stage's trials that will not be continued."""
        kept = {self._trial_id(stage, trial) for trial in keep}
        rows = self._db.execute(
            "SELECT trial FROM snapshots JOIN trials ON id = trial WHERE stage = ?", (stage,)
        ).fetchall()
        with self._transaction():
            self._db.executemany(
                "DELETE FROM snapshots WHERE trial = ?", [row for row in rows if row[0] not in kept]
            )

    def member(self, stage: str, trial: Trial) -> Member:
        """A trial as far as it was trained, with its snapshot; a new member if it was not."""
        row = self._find(stage, trial)
        if row is None:
            return Member.new(trial)
        data = self._db.execute("SELECT data FROM snapshots WHERE trial = ?", (row,)).fetchone()
        return Member(self._run(row, trial), None if data is None else unpack(data[0]))

    def run(self, stage: str, trial: Trial) -> Run:
        """A trial's run as far as it was trained."""
        row = self._find(stage, trial)
        return Run(trial) if row is None else self._run(row, trial)

    def runs(self, stage: str) -> list[Run]:
        """All runs of a stage that have begun, in the order in which they were entered."""
        rows = self._db.execute(
            "SELECT id, procedure, hyper, seed, test_metric, curve "
            "FROM trials JOIN points ON trial = id WHERE stage = ? ORDER BY id, first",
            (stage,),
        )
        return [
            Run(Trial(procedure, json.loads(hyper), seed), _joined(row[-1] for row in of), test)
            for (_, procedure, hyper, seed, test), of in groupby(rows, key=lambda row: row[:-1])
        ]

    def _run(self, row: int, trial: Trial) -> Run:
        test = self._db.execute("SELECT test_metric FROM trials WHERE id = ?", (row,)).fetchone()[0]
        return Run(trial, self._curve(row), test)

    def _curve(self, row: int) -> Curve:
        parts = self._db.execute("SELECT curve FROM points WHERE trial = ? ORDER BY first", (row,))
        return _joined(data for (data,) in parts)

    def _find(self, stage: str, trial: Trial) -> int | None:
        row = self._db.execute(
            "SELECT id FROM trials WHERE (stage, procedure, hyper, seed) = (?, ?, ?, ?)",
            _key(stage, trial),
        ).fetchone()
        return None if row is None else int(row[0])

    def _trial_id(self, stage: str, trial: Trial) -> int:
        found = self._find(stage, trial)
        if found is not None:
            return found
        cursor = self._db.execute(
            "INSERT INTO trials (stage, procedure, hyper, seed) VALUES (?, ?, ?, ?)",
            _key(stage, trial),
        )
        return int(cursor.lastrowid or 0)


def _key(stage: str, trial: Trial) -> tuple[str, str, str, int]:
    return stage, trial.procedure, json.dumps(dict(trial.hyper), sort_keys=True), trial.seed


def _joined(parts: Iterable[bytes]) -> Curve:
    return Curve.unpack(b"".join(parts))


def recipe_folders(folder: Path) -> list[Path]:
    """The run folders within a folder of several recipes, by name; none if it holds none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if (path / FILE).is_file())


def _missing(folder: Path) -> str:
    """What a folder without a database is told."""
    held = recipe_folders(folder)
    if not held:
        return f"{folder} holds no {FILE}; expected the --out folder of a comparison"
    names = ", ".join(path.name for path in held)
    return f"{folder} holds no {FILE} but comparisons of {names}; name the folder of one, e.g. {held[0]}"


def _prepare(folder: Path) -> bool:
    """Create the folder if needed; whether it already holds a database."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = [p.name for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError as error:
        raise FolderError(
            f"cannot use the folder {folder}: {error.strerror}; choose another --out"
        ) from error
    if FILE in strangers:
        return True
    if strangers:
        raise FolderError(
            f"{folder} holds {strangers[0]!r} but no {FILE}; expected a new or empty folder, "
            "or one that ravine wrote"
        )
    if not os.access(folder, os.W_OK):
        raise FolderError(f"cannot write to the folder {folder}; choose another --out")
    return False


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say about a run folder into a FolderError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise FolderError(
                f"{folder} is in use by another ravine process; wait for it, "
                "or choose another --out"
            ) from error
        if any(sign in str(error) for sign in NO_ROOM):
            raise FolderError(
                f"cannot write {folder / FILE} ({error}), is its disk full? All that finished is kept: "
                "make room and type the same command again, or choose another --out"
            ) from error
        raise FolderError(f"cannot use {folder / FILE}: {error}; choose another --out") from error
    except sqlite3.DatabaseError as error:
        raise FolderError(
            f"{folder / FILE} is damaged ({error}); nothing was changed: "
            "move it away to start anew, or choose another --out"
        ) from error
    except OSError as error:
        raise FolderError(
            f"cannot write to {folder}: {error.strerror or error}; choose another --out"
        ) from error
