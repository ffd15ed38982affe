"""Scores for a curriculum: how hard a given model finds each example."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ravine.errors import SettingError
from ravine.undisturbed import undisturbed


def by_loss(
    model: nn.Module,
    cost: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    batch_size: int = 256,
) -> Tensor:
    """The cost of each example under a given (e.g. pre-trained) model.

    The model is evaluated as at test time (dropout off, running statistics) and left as it was:
    its modes, buffers and gradients, and the random numbers of whoever draws next.

    Args:
        model: maps inputs to outputs.
        cost: (output, target) -> 0-D mean over examples; taken of each example alone.
        inputs: [examples, ...]. targets: [examples, ...]. Both where the model is.
        batch_size: examples in one evaluation of the model; bounds the memory.

    Returns:
        float64 [examples], on the CPU; high where the model errs.

    Raises:
        SettingError: the lengths of inputs and targets differ.

    Source: "transfer scoring" of Hacohen & Weinshall 2019, with the loss itself as the score.
    """
    if len(inputs) != len(targets):
        raise SettingError(
            f"{len(inputs)} inputs and {len(targets)} targets; expected one target per input"
        )
    scores = []
    with undisturbed(model), torch.no_grad():
        model.eval()
        for first in range(0, len(inputs), batch_size):
            outputs = model(inputs[first : first + batch_size])
            expected = targets[first : first + batch_size]
            scores += [
                cost(outputs[i : i + 1], expected[i : i + 1]).item() for i in range(len(expected))
            ]
    return torch.tensor(scores, dtype=torch.float64)
