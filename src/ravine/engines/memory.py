"""How much memory the state of a rule takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ravine.engines.eager import init_states
from ravine.rules import Rule
from ravine.transforms import at_probe

TYPICAL = (1000, 1000)
"""The parameter that memory is computed for; only matrix rules care."""


@dataclass(frozen=True)
class Memory:
    """What a rule remembers, for each element of a parameter.

    Attributes:
        words: numbers.
        bytes: bytes, for a parameter in float32.
    """

    words: float
    bytes: float


def memory_per_element(rule: Rule, shape: tuple[int, ...] = TYPICAL) -> Memory:
    """The state of a float32 parameter of this shape, as engines keep it; nothing is allocated.

    A rule with a probe keeps θ beside the parameter, which is one word. Counts, 0-D, are left out.
    """
    param = torch.empty(shape, dtype=torch.float32, device="meta")
    (state,) = init_states(at_probe(rule), [param])
    entries = [entry for entry in state.values() if entry.ndim]
    elements = math.prod(shape)
    return Memory(
        words=sum(entry.numel() for entry in entries) / elements,
        bytes=sum(entry.numel() * entry.itemsize for entry in entries) / elements,
    )
