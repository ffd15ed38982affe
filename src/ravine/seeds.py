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
    """After it the global generators of torch, NumPy and Python are as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=gpus()):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def seed_python(seed: int) -> None:
    """Seed the global generators of Python and NumPy, from which models draw that forget torch's."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def gpus() -> list[int]:
    """The CUDA devices, where any has been used."""
    used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return list(range(torch.cuda.device_count())) if used else []


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed the global generators that a model on a device draws from.

    (`torch.manual_seed` would queue a call for CUDA each time, with a stack trace: 0.2 ms.)
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
