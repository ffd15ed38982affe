"""Gaussian noise that is named by a key, element by element, like the masks of keyed dropout."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ravine.hashing import MASK32, hash32
from ravine.seeds import derive


def keyed_normal(size: int, key: Tensor, dtype: torch.dtype) -> Tensor:
    r"""Independent draws from N(0, 1) that are a function of (key, element) alone.

        z = √(-2 ln u) cos(2π v)      u, v uniform in (0, 1), from hashes of (key, element)

    Args:
        size: how many elements.
        key: 0-D int64, of 63 bits; may differ from member to member under vmap.
        dtype: torch.float32 or torch.float64.

    Returns:
        [size]. The largest |z| there can be is 6.7.

    Source: Box & Muller, "A Note on the Generation of Random Normal Deviates", 1958.
    """
    elements = torch.arange(size, device=key.device)
    u = _uniform(elements, key, dtype)
    v = _uniform(elements, key + derive("angle"), dtype)
    return (-2 * u.log()).sqrt() * (2 * math.pi * v).cos()


def _uniform(elements: Tensor, key: Tensor, dtype: torch.dtype) -> Tensor:
    """Hashed twice, so that all of the key counts: of the 32 bits of one hash two steps of a long
    training would have a stretch of noise in common, a few elements further on."""
    hashed = hash32(hash32(elements + (key & MASK32)) + ((key >> 32) & MASK32))
    return (hashed.to(dtype) + 0.5) / (MASK32 + 1)
