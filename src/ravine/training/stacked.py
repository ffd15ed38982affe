"""Members' tensors stacked, one row a member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ravine.training.lane import Tensors


@dataclass(frozen=True)
class Kept:
    """Weights [members, size] and buffers by name [members, ...]."""

    weights: Tensor
    buffers: Tensors

    def row(self, member: int) -> dict[str, Any]:
        """One member's share, copied."""
        return {
            "weights": self.weights[member].clone(),
            "buffers": {name: buffer[member].clone() for name, buffer in self.buffers.items()},
        }

    def where(self, chosen: Tensor, other: Kept) -> Kept:
        """These rows where `chosen` [members], those of `other` elsewhere."""

        def pick(these: Tensor, those: Tensor) -> Tensor:
            return torch.where(chosen.reshape(-1, *[1] * (these.ndim - 1)), these, those)

        return Kept(
            pick(self.weights, other.weights),
            {name: pick(value, other.buffers[name]) for name, value in self.buffers.items()},
        )


def stacked(rows: Sequence[Mapping[str, Any]]) -> Kept:
    """What `Kept.row` gave, one mapping a member."""
    return Kept(
        torch.stack([row["weights"] for row in rows]),
        {name: torch.stack([row["buffers"][name] for row in rows]) for name in rows[0]["buffers"]},
    )


def runs_of_equal(names: Sequence[int]) -> list[slice]:
    """The rows of each run of equal numbers."""
    starts = [i for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(names)], strict=True)]
