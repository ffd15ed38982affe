"""A recipe that workers find by its function."""

from __future__ import annotations

from tests.problems import digits_recipe


def short():
    """So short that Ray itself takes most of the time."""
    return digits_recipe(name="short", steps=27)
