"""Running text that is on every machine: the help topics of Python's standard library."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from ravine.datasets.parts import Parts

LENGTH = 32
"""Characters of a sequence."""

RARE = 1e-4
"""Characters that make up less than this share of the text count as one."""


@cache
def topics(length: int = LENGTH) -> Parts:
    """Characters and those that follow them: inputs and targets int64 [n, length].

    The text is `pydoc_data.topics` (0.4 million characters, it differs a little between versions of
    Python), cut in sequences that do not overlap. The first 80% are to train on, the rest to choose
    by and to test: text of other topics.
    """
    codes, _ = encoded()
    count = (len(codes) - 1) // length
    inputs = codes[: count * length].reshape(count, length)
    targets = codes[1 : count * length + 1].reshape(count, length)
    a, b = round(0.8 * count), round(0.9 * count)
    cuts = (slice(0, a), slice(a, b), slice(b, count))
    return Parts(*((inputs[cut], targets[cut]) for cut in cuts))


@cache
def encoded() -> tuple[Tensor, str]:
    """The text as numbers int64 [characters], and the characters that they stand for; the last number
    stands for all rare ones."""
    from pydoc_data.topics import topics as by_name

    text = "\n".join(by_name[name] for name in sorted(by_name))
    points, counts = np.unique(np.array(list(text)), return_counts=True)
    kept = points[counts >= RARE * len(text)]
    places = np.searchsorted(kept, np.array(list(text))).clip(max=len(kept) - 1)
    known = kept[places] == np.array(list(text))
    return torch.from_numpy(np.where(known, places, len(kept))), "".join(kept)
