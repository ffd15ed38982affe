"""Seeds from keys: everything random in ravine is named by what it is for, never by when it ran."""

from __future__ import annotations

import hashlib

import torch


def derive(*key: int | str) -> int:
    """A 63-bit seed that depends on every part of `key`, the same on every machine and version."""
    text = "/".join(map(str, key)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator seeded with `derive(*key)`."""
    return torch.Generator().manual_seed(derive(*key))
