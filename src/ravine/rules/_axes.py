"""Parts of rules that keep a matrix for every axis of a parameter: Gram matrices and products."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(dtype: torch.dtype) -> torch.dtype:
    """At least float32: eigh and qr know no bfloat16, and sums of many squares need the digits."""
    return torch.promote_types(dtype, torch.float32)


def gram(x: Tensor, axis: int) -> Tensor:
    """The unfolding of x along an axis of n, times its transpose: [n, n]. G Gᵀ, Gᵀ G of a matrix."""
    unfolded = x.movedim(axis, 0).flatten(start_dim=1) if x.ndim > 1 else x[:, None]
    return torch.mm(unfolded, unfolded.T)


def multiply(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """The matrix [n, n] times x along an axis of n: M X along axis 0 of a matrix, X Mᵀ along 1."""
    product: Tensor = torch.tensordot(matrix, x, dims=([1], [axis]))
    return product.movedim(0, axis)
