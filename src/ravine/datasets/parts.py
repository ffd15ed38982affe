"""How a set is divided: to train, to choose by, to test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HELD_OUT = 1 / 6
"""Share of the training file that is kept to choose by: 10,000 of MNIST's 60,000."""

NAMES = ("inputs", "targets", "test_inputs", "test_targets")
"""Of a set's prepared arrays."""

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Parts:
    """Pairs of inputs and targets, mapped from disk where they are large."""

    train: Pair
    validation: Pair
    test: Pair


def mixed(examples: int) -> NDArray[np.int64]:
    """The order in which the training file is kept: fixed, since files are often sorted by class and
    their end would then be no sample of it."""
    return np.random.default_rng(0).permutation(examples)


def parts_of(arrays: Mapping[str, NDArray[Any]]) -> Parts:
    """Parts of the arrays that `NAMES` lists; of inputs and targets the last sixth is held out."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    inputs, targets = tensors["inputs"], tensors["targets"]
    cut = len(inputs) - round(HELD_OUT * len(inputs))
    return Parts(
        (inputs[:cut], targets[:cut]),
        (inputs[cut:], targets[cut:]),
        (tensors["test_inputs"], tensors["test_targets"]),
    )
