"""Numbers of tensors, taken cheaply: few passes over memory, one wait for the device."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from functools import reduce
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor

Key = TypeVar("Key", bound=Hashable)


def floats(numbers: Iterable[Tensor]) -> list[float]:
    """0-D tensors as floats, at least in float32, with one wait for the device."""
    given = list(numbers)
    if not given:
        return []
    dtype = reduce(torch.promote_types, (n.dtype for n in given), torch.float32)
    values: list[float] = torch.stack([n.to(given[0].device, dtype) for n in given]).tolist()
    return values


def wide(x: Tensor) -> Tensor:
    """Without its graph, at least in float32."""
    return x.detach().to(torch.promote_types(x.dtype, torch.float32))


def mean_and_std(x: Tensor) -> tuple[Tensor, Tensor]:
    """μ and σ = √ mean (x - μ)² of all elements, 0-D.

    torch.var_mean takes 18 ms on the CPU where these two passes take 0.9 (128 × 16 × 28 × 28 in
    float32, one core).
    """
    x = wide(x)
    mean = x.mean()
    return mean, torch.linalg.vector_norm(x - mean) / math.sqrt(x.numel())


def std_over_examples(x: Tensor) -> Tensor:
    """σ of each column of [examples, ...] over the examples, [...]."""
    x = wide(x)
    return (x - x.mean(0)).square().mean(0).sqrt()


def largest(x: Tensor) -> Tensor:
    """max |x|, 0-D; NaN if there is one."""
    low, high = torch.aminmax(x.detach())
    return torch.maximum(-low, high)


def zeros(x: Tensor) -> Tensor:
    """1 where x is 0, and 0 elsewhere, as numbers.

    Written straight into numbers: by way of truth values it takes 3 ms instead of 0.2 on the CPU
    (128 × 16 × 28 × 28 in float32, one core).
    """
    x = wide(x)
    return torch.eq(x, 0, out=torch.empty_like(x))


def nans(x: Tensor) -> Tensor:
    """1 where x is NaN, and 0 elsewhere, as numbers; see `zeros`."""
    x = wide(x)
    return torch.ne(x, x, out=torch.empty_like(x))


def below(x: Tensor, bound: float) -> Tensor:
    """1 where x < bound, and 0 elsewhere, as numbers; see `zeros`."""
    x = wide(x)
    return torch.lt(x, bound, out=torch.empty_like(x))


def measurable(x: Tensor | None) -> TypeGuard[Tensor]:
    """Whether there are real numbers in it, and no indices or truth values."""
    return x is not None and x.is_floating_point() and x.numel() > 0


def sizes(tensors: Mapping[Key, Tensor]) -> dict[Key, float]:
    """max |x| of each tensor, NaN if there is one; 0 of an empty one. Of a sparse tensor its values
    count."""
    held = {key: x.coalesce().values() if x.is_sparse else x for key, x in tensors.items()}
    full = {key: x for key, x in held.items() if x.numel() > 0}
    found = dict(zip(full, floats(map(largest, full.values())), strict=True))
    return {key: found.get(key, 0.0) for key in tensors}
