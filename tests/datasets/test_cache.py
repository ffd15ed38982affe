"""Prepared arrays: made once, whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from ravine.datasets.cache import prepared
from ravine.errors import InputError


def test_arrays_are_made_once_and_mapped(cache):
    made = []

    def make():
        made.append(1)
        return {"a": np.arange(6).reshape(2, 3), "b": np.zeros(2, np.float32)}

    for _ in range(2):
        found = prepared("set", make)
        assert isinstance(found["a"], np.memmap)
        np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    assert made == [1]
    found["a"][0, 0] = 7  # in memory only
    assert prepared("set", make)["a"][0, 0] == 0


def test_what_fails_leaves_nothing_behind(cache):
    def make():
        raise InputError("no data")

    with pytest.raises(InputError, match="no data"):
        prepared("set", make)
    assert list(cache.iterdir()) == []
    np.testing.assert_array_equal(prepared("set", lambda: {"a": np.ones(1)})["a"], [1])


def test_of_two_that_make_it_one_wins(cache):
    def make_slowly():
        prepared("set", lambda: {"a": np.array([1.0])})  # the other one, meanwhile
        return {"a": np.array([2.0])}

    assert prepared("set", make_slowly)["a"][0] == 1
    assert [path.name for path in cache.iterdir()] == ["set"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAVINE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        InputError, match=r"cannot be kept in .*; name another folder: RAVINE_CACHE"
    ):
        prepared("set", lambda: {})
