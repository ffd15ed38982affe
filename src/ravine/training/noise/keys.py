"""Random numbers that are a function of (seed, step, layer, element)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ravine.hashing import MASK32, hash32
from ravine.seeds import derive

KEY = "noise_key"


class Keyed(nn.Module):
    """A layer whose noise is a function of its buffer `noise_key`, and of nothing else.

    So a population draws each member's noise as that member alone would. The key is a buffer, 0-D
    int64, written by the lane before each step.
    """

    noise_key: Tensor
    calls: int

    def hold_key(self) -> None:
        """Give the layer its key."""
        self.calls = 0
        self.register_buffer(KEY, torch.zeros((), dtype=torch.int64), persistent=False)

    def uniform(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Numbers in [0, 1), float32 of this shape; others at every use in one forward pass."""
        count = torch.Size(shape).numel()
        elements = torch.arange(count, device=device).view(list(shape))
        key = self.noise_key + derive("call", self.calls)
        self.calls += 1
        return hash32(elements + key).to(torch.float32) / (MASK32 + 1)

    def dropped(self, x: Tensor, p: float, axes: int | None = None) -> Tensor:
        """x with parts zeroed with probability p and the others scaled by 1/(1-p).

        Args:
            x: of any shape.
            p: the probability.
            axes: a part is one element of the first `axes` axes; None: of all of them.
        """
        shape = [n if axes is None or i < axes else 1 for i, n in enumerate(x.shape)]
        scale = 0.0 if p == 1 else 1 / (1 - p)
        return torch.where(self.uniform(shape, x.device) < p, torch.zeros_like(x), x * scale)


def restart(model: nn.Module) -> None:
    """Begin a forward pass: the next use of each keyed layer is its first one."""
    for module in model.modules():
        if isinstance(module, Keyed):
            module.calls = 0


def noisy(names: Iterable[str]) -> list[str]:
    """The noise keys among the names of buffers."""
    return [name for name in names if _is_key(name)]


def keys(names: Sequence[str], seed: int, step: int) -> dict[str, int]:
    """The value of each noise key among the buffers `names`, for a seed and a step."""
    return {name: derive(seed, "noise", step, name) for name in noisy(names)}


def without_keys(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by name, those of a model that is not keyed."""
    return {name: tensor for name, tensor in named.items() if not _is_key(name)}


def _is_key(name: str) -> bool:
    return name.rpartition(".")[2] == KEY
