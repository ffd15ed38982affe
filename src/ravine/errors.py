"""Every exception that ravine raises on purpose.

    RavineError
    ├── InputError            what was asked for cannot be done as asked   (command line: exit code 2)
    │   ├── UnknownNameError  no optimizer, recipe or lane of that name
    │   │   └── UnknownOptionError  an optimizer has no option of that name (also a TypeError)
    │   ├── RecipeError       the recipe cannot be loaded or trained
    │   ├── SettingError      a number or option outside what is allowed (also a ValueError)
    │   │   └── ParameterError    parameters or gradients that an optimizer cannot step (also a
    │   │                           TypeError and a RuntimeError, of which torch raises one or other)
    │   ├── FolderError       the output folder cannot be used
    │   └── ClusterError      no other processes or machines to train on, or they were lost

Each message says what came, what was expected and what to type instead.
A diverging run is an outcome that is recorded, never an exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RavineError(Exception):
    """Base of all errors raised by ravine."""


class InputError(RavineError):
    """The caller's input cannot be used; the message says what to change."""


class UnknownNameError(InputError):
    """A name that nothing is registered under."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str], listing: str) -> UnknownNameError:
        """Build the error for `name`, with the nearest of the `known` names.

        Args:
            kind: what was looked up, e.g. "optimizer".
            name: what came.
            known: all names of that kind.
            listing: the command that lists them.
        """
        names = sorted(known)
        near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}."
        return cls(f"unknown {kind} {name!r}; {hint} `{listing}` lists all.")


class RecipeError(InputError):
    """A recipe that cannot be loaded, or whose parts do not fit together."""


class UnknownOptionError(UnknownNameError, TypeError):
    """A keyword that an optimizer does not take."""


class SettingError(InputError, ValueError):
    """A setting outside what is allowed. A ValueError, as torch's own optimizers raise."""


class ParameterError(SettingError, TypeError, RuntimeError):
    """Parameters or gradients that an optimizer cannot step.

    A ValueError, a TypeError and a RuntimeError: torch's own optimizers raise one of the three.
    """


class FolderError(InputError):
    """An output folder that cannot be written, read, or continued."""


class ClusterError(InputError):
    """A cluster that is not there, cannot train this recipe, or lost its workers too often."""


def insist_on_count(name: str, value: object) -> None:
    """Raise SettingError unless a value is a whole number from 1 on."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{name}={value!r}; expected a whole number from 1 on")


def said(error: BaseException) -> str:
    """An exception's type and the first line of what it says: other people's errors in one line."""
    lines = str(error).strip().splitlines()
    kind = type(error).__name__
    return f"{kind}: {' '.join(lines[0].split())}" if lines else kind
