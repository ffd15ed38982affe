"""Prepared arrays on disk: made once, then mapped into memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravine.errors import InputError

VARIABLE = "RAVINE_CACHE"

Arrays = Mapping[str, NDArray[np.generic]]


def folder() -> Path:
    """Where prepared arrays lie: RAVINE_CACHE, or ~/.cache/ravine."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "ravine")


def prepared(key: str, make: Callable[[], Arrays]) -> dict[str, NDArray[np.generic]]:
    """Arrays by name, mapped into memory from the cache; made first where they are not there.

    They are written beside their place and moved there at once: a half-written set is never found,
    and of two processes that make the same set one wins.

    Args:
        key: names the set and its version; a folder's name.
        make: the arrays.

    Raises:
        InputError: the cache cannot be written.
    """
    place = folder() / key
    if not place.is_dir():
        try:
            _write(place, make)
        except OSError as error:
            raise InputError(
                f"prepared data cannot be kept in {place.parent} ({error.strerror}); "
                f"name another folder: {VARIABLE}=DIR"
            ) from error
    # "c": writable in memory, as torch wants it, and never on disk
    return {path.stem: np.load(path, mmap_mode="c") for path in sorted(place.glob("*.npy"))}


def _write(place: Path, make: Callable[[], Arrays]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        for name, array in make().items():
            np.save(beside / f"{name}.npy", array)
        try:
            beside.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was first
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
