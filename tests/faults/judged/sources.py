"""Public data sets that lie in a folder: MNIST images, film reviews. Read once per process."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BESIDE = Path(__file__).parents[4] / "shared" / "data"
"""Where data lie if RAVINE_DATA names no other folder: beside the repository."""


def table(name: str) -> Any:
    """A data set's training part, mnist/train.parquet for "mnist", as a table of pyarrow's.

    Raises:
        FileNotFoundError: it is not there. ModuleNotFoundError: pyarrow is not installed.
    """
    from pyarrow import parquet

    place = Path(os.environ.get("RAVINE_DATA", BESIDE)) / name / "train.parquet"
    if not place.exists():
        raise FileNotFoundError(
            f"no {place}; expected {name}/train.parquet in the folder that RAVINE_DATA names"
        )
    return parquet.read_table(place)


@cache
def mnist_images(count: int) -> tuple[Tensor, Tensor]:
    """The first images, averaged over 2x2 pixels to [count, 14, 14] of 0 to 255, and classes."""
    rows = table("mnist").slice(0, count).to_pydict()
    from PIL import Image  # after the data, whose absence is what there is to say first

    images = [np.asarray(Image.open(io.BytesIO(row["bytes"]))) for row in rows["image"]]
    pixels = torch.tensor(np.stack(images), dtype=torch.float32)
    return F.avg_pool2d(pixels, 2), torch.tensor(rows["label"])


@cache
def reviews(count: int) -> tuple[list[list[str]], Tensor]:
    """So many film reviews of each kind, mixed, as words; 1 for a good one, [2·count]."""
    rows = table("imdb")
    half = rows.num_rows // 2  # sorted: the bad ones first
    texts, labels = [], []
    for place in range(count):
        for start, label in ((0, 0), (half, 1)):
            texts.append(re.findall(r"[a-z']+", rows["text"][start + place].as_py().lower()))
            labels.append(label)
    return texts, torch.tensor(labels)


@cache
def vocabulary(count: int) -> dict[str, int]:
    """The words of those reviews by rank, the most frequent one first."""
    found = Counter(word for text in reviews(count)[0] for word in text)
    return {word: rank for rank, (word, _) in enumerate(found.most_common())}
