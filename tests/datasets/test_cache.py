"""Prepared arrays: made once, whole or not at all."""

from __future__ import annotations

import shutil

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
        found = prepared("set", "ab", make)
        assert isinstance(found["a"], np.memmap)
        np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    assert made == [1]
    found["a"][0, 0] = 7  # in memory only
    assert prepared("set", "ab", make)["a"][0, 0] == 0


def test_what_fails_leaves_nothing_behind(cache):
    def make():
        raise InputError("no data")

    with pytest.raises(InputError, match="no data"):
        prepared("set", "a", make)
    assert list(cache.iterdir()) == []
    np.testing.assert_array_equal(prepared("set", "a", lambda: {"a": np.ones(1)})["a"], [1])


def test_of_two_that_make_it_one_wins(cache):
    def make_slowly():
        prepared("set", "a", lambda: {"a": np.array([1.0])})  # the other one, meanwhile
        return {"a": np.array([2.0])}

    assert prepared("set", "a", make_slowly)["a"][0] == 1
    assert [path.name for path in cache.iterdir()] == ["set"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAVINE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        InputError, match=r"cannot be kept in .*; name another folder: RAVINE_CACHE"
    ):
        prepared("set", "a", lambda: {})


def missing(place):
    (place / "b.npy").unlink()


def cut_short(place):
    whole = (place / "b.npy").read_bytes()
    (place / "b.npy").write_bytes(whole[:-1])


def emptied(place):
    (place / "b.npy").write_bytes(b"")


def no_array(place):
    (place / "b.npy").write_text("no array")


def nothing_left(place):
    for path in place.iterdir():
        path.unlink()


def a_file(place):
    shutil.rmtree(place)
    place.write_text("")


@pytest.mark.parametrize(
    "damage",
    [missing, cut_short, emptied, no_array, nothing_left, a_file],
    ids=lambda d: d.__name__,
)
def test_what_is_not_whole_is_made_again(cache, damage):
    def make():
        return {"a": np.arange(3), "b": np.arange(5.0)}

    prepared("set", "ab", make)
    damage(cache / "set")
    found = prepared("set", "ab", make)
    np.testing.assert_array_equal(found["a"], [0, 1, 2])
    np.testing.assert_array_equal(found["b"], [0, 1, 2, 3, 4])
    assert [path.name for path in cache.iterdir()] == ["set"]
    again = prepared("set", "ab", lambda: pytest.fail("made again"))
    np.testing.assert_array_equal(again["b"], found["b"])


def test_what_is_not_whole_stays_where_it_cannot_be_made_again(cache):
    prepared("set", "ab", lambda: {"a": np.arange(3), "b": np.arange(5.0)})
    missing(cache / "set")

    def make():
        raise InputError("no data")

    with pytest.raises(InputError, match="no data"):
        prepared("set", "ab", make)
    assert [path.name for path in (cache / "set").iterdir()] == ["a.npy"]
