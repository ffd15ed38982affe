"""What we really care about: metrics, (output, target) -> 0-D mean over examples.

A metric is evaluated, never differentiated, so it may be flat almost everywhere as the 0-1 loss is.
"""

from __future__ import annotations

import torch
from torch import Tensor


def error_rate(output: Tensor, target: Tensor) -> Tensor:
    """The 0-1 loss: share of examples whose largest output is not the target class.

    Args:
        output: scores, [examples, classes].
        target: class indices, int64 [examples].
    """
    return (output.argmax(dim=-1) != target).to(output.dtype).mean()


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Share of examples whose largest output is the target class: 1 - error_rate. Larger is better."""
    return 1 - error_rate(output, target)


def mean_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean of (output - target)² over all elements; both [examples, ...]."""
    return torch.mean((output - target) ** 2)
