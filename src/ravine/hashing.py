"""Random bits that are a function of what they are for, elementwise and the same on every machine."""

from __future__ import annotations

from torch import Tensor

MASK32 = 0xFFFFFFFF


def hash32(x: Tensor) -> Tensor:
    """An avalanche hash of the low 32 bits, int64 in and out in [0, 2³²); no product reaches 2⁶³.

    Source: Wellons, hash-prospector, two rounds with the constants of its issue 19 (bias 0.107).
    """
    x = x & MASK32
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & MASK32
    x = ((x ^ (x >> 15)) * 0x735A2D97) & MASK32
    return x ^ (x >> 15)
