"""What there is, by name: what the commands that list things print."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ravine import batches, initializers, recipes, schedules

Row = Mapping[str, str]
"""A thing's "name", and in a line what it is "about"."""

STEPS = 1000
"""The training length T that the settings of schedules are shown for."""


def list_recipes() -> list[Row]:
    """The built-in recipes."""
    return [_row(name, build.__doc__) for name, build in recipes.BUILT_IN.items()]


def list_initializers() -> list[Row]:
    """Starting points, as `--init` takes them."""
    return [
        _row(name, getattr(initializers, name, begin.apply).__doc__)
        for name, begin in initializers.STARTS.items()
    ]


def list_schedules() -> list[Row]:
    """Schedules, as `--schedule` takes them, each as typed for a training of `STEPS` steps."""
    rows = [
        {**_row(name, getattr(schedules, name).__doc__), f"at {STEPS} steps": repr(make(STEPS))}
        for name, make in schedules.NAMES.items()
    ]
    return [*rows, _row("warmup+NAME", "A ramp over 5% of the steps in front of any of them.")]


def list_batches() -> list[Row]:
    """Orders of examples, as `--batches` takes them."""
    return [_row(name, getattr(batches, name).__doc__) for name in batches.NAMES]


def _row(name: str, text: str | None) -> dict[str, str]:
    return {"name": name, "about": (text or "").strip().split("\n", 1)[0]}


LISTS: dict[str, Callable[[], list[Row]]] = {
    "recipes": list_recipes,
    "initializers": list_initializers,
    "schedules": list_schedules,
    "batches": list_batches,
}
"""The lists by the names of their commands."""
