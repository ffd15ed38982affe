"""Seeds from keys: everything random in ravine is named by what it is for, never by when it ran."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(*key: int | str) -> int:
    """A 63-bit seed that depends on every part of `key`, the same on every machine and version."""
    text = "/".join(map(str, key)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator seeded with `derive(*key)`."""
    return torch.Generator().manual_seed(derive(*key))


@contextmanager
def forked_generators() -> Iterator[None]:
    """After it the global generators of torch (on the CPU), NumPy and Python are as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def seed_python(seed: int) -> None:
    """Seed the global generators of Python and NumPy, from which models draw that forget torch's."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
