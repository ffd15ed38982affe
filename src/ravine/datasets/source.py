"""Where a data set comes from: local parquet files, or the Hugging Face hub, in the same schema."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.datasets.schema import Content, complaint
from ravine.errors import InputError, SettingError, said

if TYPE_CHECKING:
    import pyarrow as pa

VARIABLE = "RAVINE_DATA"
"""Names the folder of local files where no other is given."""

TO_INSTALL = "type: pip install 'ravine[data]'"


@dataclass(frozen=True)
class Source:
    """A data set: FOLDER/name/split.parquet, or a repository of the hub.

    Attributes:
        name: of its folder.
        hub: its repository on the Hugging Face hub.
        folder: holds local data sets; None: the hub.
    """

    name: str
    hub: str
    folder: Path | None

    @property
    def words(self) -> str:
        """Where it is, in print."""
        return f"{self.hub} on the Hugging Face hub" if self.folder is None else str(self._local)

    @property
    def _local(self) -> Path:
        assert self.folder is not None
        return self.folder / self.name

    def fingerprint(self) -> str:
        """Changes when the data do: of local files sizes and times of change.

        Raises:
            InputError: a file is missing.
        """
        if self.folder is None:
            return self.hub.replace("/", "-")
        states = [self._file(split).stat() for split in ("train", "test")]
        stamp = [(str(self._local.resolve()), s.st_size, s.st_mtime_ns) for s in states]
        return hashlib.blake2b(repr(stamp).encode(), digest_size=8).hexdigest()

    def table(self, split: str, columns: Mapping[str, Content]) -> pa.Table:
        """Some columns of "train" or "test", each with what it has to hold.

        Raises:
            InputError: they cannot be had, or hold something else or nulls; the message says what to
                type.
        """
        try:
            found = self._downloaded(split) if self.folder is None else self._read(split)
        except ImportError as error:
            raise InputError(f"{self.name} needs {error.name}; {TO_INSTALL}") from error
        missing = [column for column in columns if column not in found.column_names]
        if missing:
            raise InputError(
                f"{self.words}, {split}, has columns {found.column_names}; expected {list(columns)}"
            )
        for column, content in columns.items():
            held = complaint(found.column(column), content)
            if held is not None:
                raise InputError(
                    f"{self.words}, {split}, column {column!r} holds {held}; "
                    f"expected {content} without nulls"
                )
        return found.select(list(columns))

    def _file(self, split: str) -> Path:
        path = self._local / f"{split}.parquet"
        if not path.is_file():
            raise InputError(
                f"{path} is not there; expected {self.name}/train.parquet and "
                f"{self.name}/test.parquet in the folder that --data or {VARIABLE} names"
            )
        return path

    def _read(self, split: str) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._file(split)
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} cannot be read as parquet: {said(error)}") from error

    def _downloaded(self, split: str) -> pa.Table:
        import datasets

        try:
            return datasets.load_dataset(self.hub, split=split).data.table
        except (
            Exception
        ) as error:  # of the network, the hub, or the disk, each with types of its own
            raise InputError(
                f"{self.words} cannot be downloaded ({said(error)}); give local files with --data DIR: "
                f"DIR/{self.name}/train.parquet and test.parquet"
            ) from error


def source(name: str, hub: str, folder: str | Path | None) -> Source:
    """A data set in the folder given, else in the one that RAVINE_DATA names, else on the hub.

    Raises:
        SettingError: the folder is none.
    """
    found = folder or os.environ.get(VARIABLE) or None
    if found is not None and not Path(found).is_dir():
        given = f"--data {found}" if folder else f"{VARIABLE}={found}"
        raise SettingError(f"{given} is not a folder; expected one that holds {name}/train.parquet")
    return Source(name, hub, None if found is None else Path(found))
