"""A file is written whole, or what stood there stands, and no draft is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ravine.whole import write_whole


def test_the_new_bytes_replace_the_old(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    assert write_whole(path, b"new\n\x00") == path
    assert path.read_bytes() == b"new\n\x00"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("where", "what"), [(os, "replace"), (Path, "write_bytes")])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, where, what):
    real = Path.write_bytes

    def full(path, *rest):
        if what == "write_bytes":
            real(path, b"half")
        raise OSError(28, "No space left on device")

    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(where, what, full)
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
