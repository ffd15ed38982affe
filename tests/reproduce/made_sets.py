"""Small data sets for the experiments."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.sets import write_set

RNG = np.random.default_rng(0)


def digits(count: int) -> dict[str, object]:
    """MNIST's schema: a class is where a stripe is bright."""
    labels = np.arange(count) % 10
    pixels = RNG.integers(0, 100, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[:, 2 * label : 2 * label + 2] = 250
    return {"image": pixels, "label": labels}


def photographs(count: int) -> dict[str, object]:
    """CIFAR-10's schema."""
    labels = np.arange(count) % 10
    return {"img": RNG.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), "label": labels}


def reviews(count: int) -> dict[str, object]:
    """IMDB's schema."""
    labels = np.arange(count) % 2
    words = np.array([["dull", "slow", "bad"], ["fine", "quick", "good"]])
    texts = [" ".join(RNG.choice([*words[label], "a", "film"], 8)) for label in labels]
    return {"text": texts, "label": labels}


def write(folder: Path) -> Path:
    """All of them."""
    write_set(folder, "mnist", train=digits(1200), test=digits(60))
    write_set(folder, "cifar10", train=photographs(240), test=photographs(10))
    write_set(folder, "imdb", train=reviews(300), test=reviews(20))
    return folder
