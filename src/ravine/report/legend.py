"""Arms beside their line and marker, as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ravine.report.figures import look
from ravine.report.records import Key


def named(key: Key) -> str:
    """An arm's title beside its line and marker."""
    style = look(key)
    return (
        '<span class="name"><svg aria-hidden="true" width="44" height="12" viewBox="0 0 44 12">'
        f'<path d="M0 6H44" stroke="{style.colour}" stroke-width="2.5" '
        f'stroke-dasharray="{style.dash[1]}"/>'
        f'<path d="{style.marker[1]}" fill="{style.colour}"/></svg>{escape(key.title)}</span>'
    )


def legend(keys: Iterable[Key]) -> str:
    """A button for each arm, which hides and shows it in all figures with a legend."""
    buttons = "".join(
        f'<button type="button" aria-pressed="true" data-optimizer="{escape(key.name)}">'
        f"{named(key)}</button>"
        for key in keys
    )
    return f'<div class="legend" aria-label="optimizers shown">{buttons}</div>'
