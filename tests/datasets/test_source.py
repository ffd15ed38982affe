"""Where data come from, and what is said when they do not."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

from ravine.cli import main
from ravine.datasets.source import source
from ravine.errors import InputError, SettingError

ONE = (np.zeros((2, 28, 28), np.uint8), [0, 1])


def test_the_folder_given_goes_before_the_variable_and_that_before_the_hub(tmp_path, monkeypatch):
    given, named = tmp_path / "given", tmp_path / "named"
    given.mkdir(), named.mkdir()
    assert source("mnist", "ylecun/mnist", None).folder is None
    monkeypatch.setenv("RAVINE_DATA", str(named))
    assert source("mnist", "ylecun/mnist", None).folder == named
    assert source("mnist", "ylecun/mnist", given).folder == given


def test_a_fingerprint_changes_with_a_file(write_images):
    folder = write_images("mnist", "image", train=ONE, test=ONE)
    found = source("mnist", "", folder)
    before = found.fingerprint()
    assert found.fingerprint() == before
    os.utime(folder / "mnist" / "train.parquet", (1, 1))
    assert found.fingerprint() != before


def test_what_is_missing_is_named(tmp_path, write_images):
    with pytest.raises(SettingError, match=r"--data .*nowhere is not a folder; expected one that"):
        source("mnist", "", tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"mnist/train.parquet is not there; expected mnist/train"):
        source("mnist", "", tmp_path).fingerprint()
    folder = write_images("mnist", "image", train=ONE, test=ONE)
    (folder / "mnist" / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"train.parquet cannot be read as parquet"):
        source("mnist", "", folder).table("train", {"image": "encoded images"})


def test_the_variable_is_named_where_the_folder_is_its(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RAVINE_DATA", str(tmp_path / "nope"))
    assert main(["train", "mnist-softmax", "--optimizer", "sgd", "--lr", "0.1"]) == 2
    said = f"RAVINE_DATA={tmp_path / 'nope'} is not a folder; expected one that holds mnist/train"
    assert capsys.readouterr().err == f"ravine: error: {said}.parquet\n"
    with pytest.raises(SettingError, match=r"^--data .*other is not a folder"):
        source("mnist", "", tmp_path / "other")


def test_the_hub_is_asked_for_its_repository_and_its_failure_is_explained(monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    asked = []

    def fail(name, split):
        asked.append((name, split))
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    said = "ylecun/mnist on the Hugging Face hub cannot be downloaded (ConnectionError: "
    with pytest.raises(InputError, match=re.escape(f"{said}no route); give local files")):
        source("mnist", "ylecun/mnist", None).table("test", {"image": "encoded images"})
    assert asked == [("ylecun/mnist", "test")]


def test_the_hubs_rows_are_read(monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    there = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1], "extra": [2, 3]})
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: there)
    found = source("imdb", "stanfordnlp/imdb", None).table(
        "test", {"label": "integers", "text": "texts"}
    )
    assert found.to_pydict() == {"label": [0, 1], "text": ["a", "b"]}
