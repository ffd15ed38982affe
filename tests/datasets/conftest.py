"""Small image sets, and a cache of one's own."""

from __future__ import annotations

import pytest

from tests.sets import write_set


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("RAVINE_DATA", raising=False)
    monkeypatch.setenv("RAVINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def write_images(tmp_path):
    """(set, column, pixels and classes by split) -> the folder that holds the set."""

    def write(name, column, **splits):
        columns = {s: {column: pixels, "label": classes} for s, (pixels, classes) in splits.items()}
        write_set(tmp_path / "sets", name, **columns)
        return tmp_path / "sets"

    return write
