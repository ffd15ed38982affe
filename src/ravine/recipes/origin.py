"""Where a recipe came from: what finds it again, in another process or on another machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Origin:
    """What a recipe was found by.

    Attributes:
        name: a built-in name, the whole path of a file, or the function that builds the recipe.
        data: the whole path of the folder that was given for built-in data sets.
        text: what the file said; None for the others.
    """

    name: str | Callable[[], Any]
    data: str | None = None
    text: bytes | None = None


def of_name(name: str, data: str | Path | None) -> Origin:
    """The origin of a built-in recipe."""
    return Origin(name, None if data is None else os.path.abspath(data))


def of_file(path: Path) -> Origin:
    """The origin of a recipe from a file."""
    return Origin(os.path.abspath(path), text=path.read_bytes())
