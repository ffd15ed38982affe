"""Film reviews as bags of words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravine.datasets.cache import Arrays, prepared
from ravine.datasets.parts import NAMES, Parts, mixed, parts_of
from ravine.datasets.schema import Content
from ravine.datasets.source import Source, source

VERSION = 1
"""Of the preparation: raised when what is stored changes."""

VOCABULARY = 10_000
"""The words that occur most often in the training reviews."""

WORD = re.compile(r"[a-z0-9']+")

NONE = 0
"""Fills a row behind its last word; words are numbered from 1 on, the most frequent first."""


def imdb(folder: str | Path | None = None) -> Parts:
    """Reviews and whether they praise: inputs int16 [n, longest], targets int64 [n], 0 or 1.

    A row holds the numbers, 1 to 10,000, of the distinct words of a review, ascending, and 0 behind
    them: a sparse row of the binary matrix [n, 10,000], of which 1.3% are ones.

    Source: Maas et al. 2011, "Learning word vectors for sentiment analysis".
    """
    where = source("imdb", "stanfordnlp/imdb", folder)
    key = f"imdb-bag-{VERSION}-{where.fingerprint()}"
    return parts_of(prepared(key, NAMES, lambda: _made(where)))


def _made(where: Source) -> Arrays:
    columns: dict[str, Content] = {"text": "texts", "label": "integers"}
    train, test = (where.table(split, columns) for split in ("train", "test"))
    texts = [words(text) for text in train.column("text").to_pylist()]
    numbers = vocabulary(texts)
    order = mixed(len(texts))
    labels, test_labels = (t.column("label").to_numpy().astype(np.int64) for t in (train, test))
    return {
        "inputs": bags([texts[i] for i in order], numbers),
        "targets": labels[order],
        "test_inputs": bags(map(words, test.column("text").to_pylist()), numbers),
        "test_targets": test_labels,
    }


def words(text: str) -> list[str]:
    """Its words, in lower case."""
    return WORD.findall(text.lower())


def vocabulary(texts: Iterable[Sequence[str]], size: int = VOCABULARY) -> dict[str, int]:
    """The most frequent words -> 1, 2, ...; of equally frequent ones the alphabet's first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: place for place, word in enumerate(ranked[:size], start=1)}


def bags(texts: Iterable[Sequence[str]], numbers: Mapping[str, int]) -> NDArray[np.int16]:
    """Each text's distinct known words, as rows filled up with 0."""
    rows = [sorted({numbers[word] for word in text if word in numbers}) for text in texts]
    bag = np.full((len(rows), max(map(len, rows), default=0)), NONE, dtype=np.int16)
    for row, known in zip(bag, rows, strict=True):
        row[: len(known)] = known
    return bag
