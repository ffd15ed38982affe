"""Bags of words, against counting by hand."""

from __future__ import annotations

import numpy as np

from ravine import datasets
from ravine.datasets.reviews import bags, vocabulary, words
from tests.sets import write_set


def test_words_are_counted_and_the_rest_is_left_out():
    texts = [words("It's good, GOOD <br />!"), words("bad: it's bad"), words("rare")]
    assert texts[0] == ["it's", "good", "good", "br"]
    assert vocabulary(texts, 4) == {"bad": 1, "good": 2, "it's": 3, "br": 4}
    np.testing.assert_array_equal(
        bags(texts, vocabulary(texts, 4)), [[2, 3, 4], [1, 3, 0], [0, 0, 0]]
    )


def test_reviews_keep_their_labels(tmp_path):
    texts = [f"word{i} common" for i in range(12)]
    columns = {"text": texts, "label": [i % 2 for i in range(12)]}
    write_set(tmp_path, "imdb", train=columns, test=columns)
    parts = datasets.imdb(tmp_path)
    assert [len(y) for _, y in (parts.train, parts.validation, parts.test)] == [10, 2, 12]
    known = vocabulary(map(words, texts))
    by_number = {known[f"word{i}"]: i % 2 for i in range(12)}
    for inputs, targets in (parts.train, parts.validation, parts.test):
        for row, label in zip(inputs.tolist(), targets.tolist(), strict=True):
            assert row[0] == known["common"] == 1
            assert by_number[row[1]] == label
