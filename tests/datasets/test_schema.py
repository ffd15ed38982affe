"""Columns of another content are one line that says what came, not a traceback or another label."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ravine import datasets
from ravine.cli import main
from ravine.datasets.schema import complaint
from ravine.errors import InputError
from tests.sets import write_set

PICTURES = [np.zeros((28, 28), np.uint8)] * 6
LABELS = [0, 1, 2, 3, 4, 5]
TEXTS = ["a film"] * 6


def swapped(values, value):
    return [*values[:-1], value]


CASES = {
    "words as labels": ("mnist", {"image": PICTURES, "label": ["cat"] * 6}, "'label' holds string"),
    "null labels": (
        "mnist",
        {"image": PICTURES, "label": swapped(LABELS, None)},
        "'label' holds 1 nulls among 6 rows; expected integers without nulls",
    ),
    "half labels": ("mnist", {"image": PICTURES, "label": [0.5] * 6}, "'label' holds double"),
    "no images": ("mnist", {"image": LABELS, "label": LABELS}, "'image' holds int64; expected enc"),
    "a null image": (
        "mnist",
        {"image": swapped([{"bytes": b"", "path": ""}] * 6, None), "label": LABELS},
        "'image' holds 1 nulls",
    ),
    "bytes of no image": (
        "mnist",
        {"image": [{"bytes": b"no image", "path": ""}] * 6, "label": LABELS},
        "images that cannot be decoded",
    ),
    "pixels of 16 bits": (
        "mnist",
        {"image": [np.full((28, 28), 70, np.uint16)] * 6, "label": LABELS},
        "cannot be decoded (pixels of uint16)",
    ),
    "a null text": (
        "imdb",
        {"text": swapped(TEXTS, None), "label": LABELS},
        "'text' holds 1 nulls among 6 rows; expected texts without nulls",
    ),
    "numbers as texts": ("imdb", {"text": LABELS, "label": LABELS}, "'text' holds int64; expected"),
    "null reviews' labels": ("imdb", {"text": TEXTS, "label": [None] * 6}, "'label' holds null"),
    "half reviews' labels": ("imdb", {"text": TEXTS, "label": [0.5] * 6}, "'label' holds double"),
}
RECIPE = {"mnist": "mnist-softmax", "imdb": "imdb-bow"}


@pytest.mark.parametrize("case", CASES)
def test_another_content_is_one_line_and_code_2(case, tmp_path, capsys):
    name, columns, said = CASES[case]
    write_set(tmp_path, name, train=columns, test=columns)
    arguments = ["train", RECIPE[name], "--optimizer", "sgd", "--lr", "0.1", "--steps", "27"]
    assert main([*arguments, "--data", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ravine: error: {tmp_path / name}, train")
    assert said in line


def test_the_test_file_is_looked_at_too(tmp_path):
    good = {"text": TEXTS, "label": LABELS}
    write_set(tmp_path, "imdb", train=good, test={"text": TEXTS, "label": swapped(LABELS, None)})
    with pytest.raises(InputError, match=r"imdb, test, column 'label' holds 1 nulls"):
        datasets.imdb(tmp_path)


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64()])
def test_integers_of_any_width_are_labels(kind):
    assert complaint(pa.chunked_array([[0, 9]], type=kind), "integers") is None


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ([True, False], pa.bool_(), "bool"),
        ([0.0, 1.0], pa.float32(), "float"),
        (["0", "1"], pa.string(), "string"),
        ([None, 1, None], pa.int64(), "2 nulls among 3 rows"),
    ],
)
def test_what_is_no_label_is_named(values, kind, said):
    assert complaint(pa.chunked_array([values], type=kind), "integers") == said


def test_long_texts_are_texts():
    assert complaint(pa.chunked_array([["a"]], type=pa.large_string()), "texts") is None
