"""Dropout whose masks are named by (seed, step, layer), not by when or beside whom a member trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ravine.hashing import MASK32, hash32
from ravine.seeds import derive

KEY = "noise_key"


class KeyedDropout(nn.Module):
    """As `nn.Dropout(p)`, with a mask that is a function of the buffer `noise_key`.

    The mask hashes (key, element), so a population draws each member's mask as that member alone
    would. The key is a buffer, 0-D int64, written by the lane before each step.
    """

    noise_key: Tensor

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.calls = 0
        self.register_buffer(KEY, torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x with elements zeroed with probability p and the others scaled by 1/(1-p), in training."""
        if not self.training or self.p == 0:
            return x
        elements = torch.arange(x.numel(), device=x.device).view(x.shape)
        key = self.noise_key + derive("call", self.calls)  # a layer used twice draws twice
        self.calls += 1
        uniform = hash32(elements + key).to(torch.float32) / (MASK32 + 1)
        scale = 0.0 if self.p == 1 else 1 / (1 - self.p)
        return torch.where(uniform < self.p, torch.zeros_like(x), x * scale)


def restart(model: nn.Module) -> None:
    """Begin a forward pass: the next use of each keyed layer is its first one."""
    for module in model.modules():
        if isinstance(module, KeyedDropout):
            module.calls = 0


def keyed(model: nn.Module) -> nn.Module:
    """Replace every `nn.Dropout` inside a module (in place) by its keyed form; return the module."""
    if type(model) is nn.Dropout:
        return KeyedDropout(model.p)
    for name, child in model.named_children():
        setattr(model, name, keyed(child))
    return model


def keys(names: Sequence[str], seed: int, step: int) -> dict[str, int]:
    """The value of each noise key among the buffers `names`, for a seed and a step."""
    return {n: derive(seed, "noise", step, n) for n in names if n.rpartition(".")[2] == KEY}
