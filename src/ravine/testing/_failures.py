"""What a broken promise says."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

from ravine.errors import said

TORCH = str(Path(torch.__file__).parent)


class ConformanceError(AssertionError):
    """A rule breaks a promise that engines rely on, or several.

    Attributes:
        promises: their names, in the order in which they are checked.
    """

    def __init__(self, message: str, promises: Sequence[str]):
        super().__init__(message)
        self.promises = tuple(promises)


def broken(promise: str, came: str, expected: str, change: str) -> ConformanceError:
    """The error of one broken promise.

    Args:
        promise: its name.
        came: what the rule did.
        expected: what it promises.
        change: what to write instead.
    """
    lines = (
        f"{promise}:",
        f"    came:      {came}",
        f"    expected:  {expected}",
        f"    to change: {change}",
    )
    return ConformanceError("\n".join(lines), [promise])


def raised(promise: str, error: Exception) -> ConformanceError:
    """The error of a promise that could not be checked, because the rule raised."""
    return broken(
        promise,
        f"{said(error)}, {place_of(error)}",
        "a rule that runs here",
        f"ravine.testing.check_{promise}(rule), called by itself, shows the whole traceback.",
    )


def place_of(error: Exception) -> str:
    """The last line outside torch that an exception came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(TORCH)]
    return f'at {Path(own[-1].filename).name}:{own[-1].lineno}, "{own[-1].line}"'


def several(title: str, failures: Sequence[ConformanceError], unchecked: Sequence[str]) -> str:
    """All that is wrong with a rule, as one message."""
    promises = "1 promise" if len(failures) == 1 else f"{len(failures)} promises"
    parts = [f"{title} breaks {promises}.", *map(str, failures)]
    if unchecked:
        parts.append(f"Not checked, because they build on these: {', '.join(unchecked)}.")
    return "\n\n".join(parts)
