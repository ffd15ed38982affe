"""What we really care about: metrics, (output, target) -> 0-D mean over examples.

A metric is evaluated, never differentiated, so it may be flat almost everywhere as the 0-1 loss is.
Each refuses shapes that torch would broadcast: the mean over [examples, examples] is a number, too.
"""

from __future__ import annotations

import torch
from torch import Tensor


def error_rate(output: Tensor, target: Tensor) -> Tensor:
    """The 0-1 loss: share of examples whose largest output is not the target class.

    Args:
        output: scores, [examples, classes], of two classes or more.
        target: class indices, int64 [examples].

    Raises:
        ValueError: other shapes.
    """
    return _share_wrong("error_rate", output, target)


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Share of examples whose largest output is the target class: 1 - error_rate. Larger is better."""
    return 1 - _share_wrong("accuracy", output, target)


def mean_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean of (output - target)² over all elements; both [examples, ...].

    Raises:
        ValueError: the shapes differ.
    """
    if output.shape != target.shape:
        raise ValueError(
            "mean_squared_error takes an output and a target of the same shape, "
            f"not {list(output.shape)} and {list(target.shape)}"
        )
    return torch.mean((output - target) ** 2)


def _share_wrong(name: str, output: Tensor, target: Tensor) -> Tensor:
    if output.ndim != 2 or output.shape[1] < 2 or target.shape != output.shape[:1]:
        raise ValueError(
            f"{name} takes scores [examples, classes] of two classes or more and class indices "
            f"[examples], not {list(output.shape)} and {list(target.shape)}"
        )
    return (output.argmax(dim=-1) != target).to(output.dtype).mean()
