"""What to try against each kind of finding."""

from ravine.diagnostics.remedies.catalogue import changes_for

__all__ = ["changes_for"]
