"""A group's options as the 0-D tensors that rules take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ravine.engines import eager

PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
    "eps": ("eps1", "eps2"),
}
"""Options that torch keeps as a pair, and the two names that rules have for them.

Of Adafactor, eps is one; of the other classes, a number."""


class Settings:
    """The hyperparameters of one group; a tensor is made anew when its number changes.

    Anew, and not filled: a differentiable step may have kept the old one for its backward pass.

    Args:
        names: the rule's hyperparameters.
        device: where the tensors lie.
    """

    def __init__(self, names: tuple[str, ...], device: torch.device):
        self._names = names
        self._device = device
        self._values: list[Any] = [math.nan] * len(names)  # equal to no number
        self._tensors: dict[str, Tensor] = {}

    def of(self, group: Mapping[str, Any]) -> dict[str, Tensor]:
        """0-D float64 tensors by name."""
        options = flat_options(group)
        values = [options[name] for name in self._names]
        # A tensor may have been written to since it was looked at.
        if any(isinstance(value, Tensor) for value in values) or values != self._values:
            trios = zip(self._names, values, self._values, strict=True)
            changed = {n: new for n, new, old in trios if isinstance(new, Tensor) or new != old}
            fresh = eager.hyper_tensors(changed)
            moved = {name: value.to(self._device) for name, value in fresh.items()}
            self._tensors = {**self._tensors, **moved}
            self._values = values
        return self._tensors


def flat_options(group: Mapping[str, Any]) -> dict[str, Any]:
    """A group's options, pairs taken apart."""
    options = dict(group)
    for pair, (first, second) in PAIRS.items():
        if isinstance(options.get(pair), tuple | list):
            options[first], options[second] = options[pair]
    return options
