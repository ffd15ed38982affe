"""Prepared arrays on disk: made once, then mapped into memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravine.errors import InputError

VARIABLE = "RAVINE_CACHE"

UNREADABLE = (OSError, ValueError, EOFError)
"""What NumPy raises of an array's file that is not there, not whole, or none."""

Arrays = Mapping[str, NDArray[np.generic]]


def folder() -> Path:
    """Where prepared arrays lie: RAVINE_CACHE, or ~/.cache/ravine."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "ravine")


def prepared(
    key: str, names: Sequence[str], make: Callable[[], Arrays]
) -> dict[str, NDArray[np.generic]]:
    """Arrays by name, mapped into memory from the cache; made first where one of them is not there,
    or not whole.

    They are written beside their place and moved there at once: a half-written set is never found,
    and of two processes that make the same set one wins.

    Args:
        key: names the set and its version; a folder's name.
        names: of the arrays.
        make: them.

    Raises:
        InputError: the cache cannot be written.
    """
    place = folder() / key
    if not _whole(place, names):
        try:
            _write(place, names, make)
        except OSError as error:
            raise InputError(
                f"prepared data cannot be kept in {place.parent} ({error.strerror}); "
                f"name another folder: {VARIABLE}=DIR"
            ) from error
    return _mapped(place, names)


def _mapped(place: Path, names: Iterable[str]) -> dict[str, NDArray[np.generic]]:
    # "c": writable in memory, as torch wants it, and never on disk
    return {name: np.load(place / f"{name}.npy", mmap_mode="c") for name in names}


def _whole(place: Path, names: Iterable[str]) -> bool:
    """Whether all arrays are there, as long as their headers say."""
    try:
        _mapped(place, names)
    except UNREADABLE:
        return False
    return True


def _write(place: Path, names: Iterable[str], make: Callable[[], Arrays]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    made, remains = beside / "made", beside / "remains"
    made.mkdir()
    try:
        for name, array in make().items():
            np.save(made / f"{name}.npy", array)
        if place.exists() and not _whole(place, names):
            place.rename(remains)
        try:
            made.rename(place)
        except OSError:
            if not _whole(place, names):  # else another process was first
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
