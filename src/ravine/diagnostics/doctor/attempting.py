"""What a changed model does is tried, as it may raise anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ravine.errors import InputError, said

Came = TypeVar("Came")


@dataclass(frozen=True)
class Failed:
    """What came of something that raised.

    Attributes:
        why: in a line.
    """

    why: str


def tried(work: Callable[[], Came]) -> Came | Failed:
    """What comes of making or training a changed model. It may raise anything: there an edited model
    meets its user's own code."""
    try:
        return work()
    except Exception as error:
        return Failed(first_line(error))


def first_line(error: Exception) -> str:
    """What is said of an error."""
    return str(error).splitlines()[0] if isinstance(error, InputError) else said(error)
