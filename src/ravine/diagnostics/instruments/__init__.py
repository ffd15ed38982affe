"""What to measure with, one topic a file."""

from __future__ import annotations

from ravine.diagnostics.instrument import Instrument


def standard() -> list[Instrument]:
    """The instruments that a watch has by default."""
    return []
