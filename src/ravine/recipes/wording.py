"""How tensors are put into one line."""

from __future__ import annotations

import torch
from torch import Tensor

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

DTYPES = (
    *(torch.float16, torch.float32, torch.float64, torch.complex64, torch.complex128),
    *(torch.bool, *INTEGERS),
)
"""What data and parameters may be made of: what NumPy can hold, too."""

CASTS = {torch.float32: ".float()", torch.float64: ".double()"}


def shape(tensor: Tensor) -> str:
    """A tensor's shape, as a list is written."""
    return str(list(tensor.shape))


def described(tensor: Tensor) -> str:
    """Shape and type of a tensor; for integers, which stand for classes or words, their range."""
    span = ""
    if tensor.dtype in INTEGERS and tensor.numel():
        span = f", {int(tensor.min())} to {int(tensor.max())}"
    return f"shape {shape(tensor)} ({tensor.dtype}{span})"


def cast(dtype: torch.dtype) -> str:
    """The method that turns a tensor into `dtype`."""
    return CASTS.get(dtype, f".to({dtype})")
