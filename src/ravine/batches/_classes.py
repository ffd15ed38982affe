"""Examples by class or group: what stratified, grouped and spread orders share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ravine.errors import SettingError


def numbered(values: Tensor | Sequence[object], what: str) -> Tensor:
    """Number the distinct values from 0 on: int64 [examples].

    Args:
        values: one per example, [examples] or [examples, 1]: whole numbers or words.
        what: their name in errors, e.g. "stratified(labels): labels".
    """
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.size == 0:
        raise SettingError(
            f"{what} have shape {list(array.shape)}; expected one per example, [examples]"
        )
    if array.dtype.kind not in "biufUS":
        raise SettingError(f"{what} are {array.dtype}; expected whole numbers or words")
    if array.dtype.kind == "f":
        fractional = ~np.isfinite(array) | (array != np.floor(array))
        if fractional.any():
            raise SettingError(
                f"{what} hold {array[fractional][0]}; expected whole numbers, one per class"
            )
    return torch.from_numpy(np.unique(array, return_inverse=True)[1].astype(np.int64))


def by_falling_size(codes: Tensor, rng: torch.Generator) -> Tensor:
    """The rank of each class, the largest first, equal ones in random order: int64 [classes]."""
    sizes = codes.bincount()
    shuffled = torch.randperm(len(sizes), generator=rng)
    classes = shuffled[sizes[shuffled].argsort(descending=True, stable=True)]
    return classes.argsort()


def class_by_class(codes: Tensor, rank: Tensor, rng: torch.Generator) -> Tensor:
    """All examples, the class of rank 0 first, shuffled within each class: int64 [examples]."""
    shuffled = torch.randperm(len(codes), generator=rng)
    return shuffled[rank[codes[shuffled]].argsort(stable=True)]


def turned(order: Tensor, rng: torch.Generator) -> Tensor:
    """The order begun at a random place, so that every example may come first, or be left out."""
    return order.roll(int(torch.randint(len(order), (), generator=rng)))
