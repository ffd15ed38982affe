"""A group's options as the 0-D tensors that rules take."""

from __future__ import annotations

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
    """The hyperparameters of one group; tensors are made once and filled when a number changes.

    Args:
        names: the rule's hyperparameters.
        device: where the tensors lie.
    """

    def __init__(self, names: tuple[str, ...], device: torch.device):
        self._names = names
        self._device = device
        self._values: list[Any] = []
        self._tensors: dict[str, Tensor] = {}

    def of(self, group: Mapping[str, Any]) -> dict[str, Tensor]:
        """0-D float64 tensors by name."""
        options = flat_options(group)
        values = [options[name] for name in self._names]
        if any(isinstance(value, Tensor) for value in values) or values != self._values:
            fresh = eager.hyper_tensors(dict(zip(self._names, values, strict=True)))
            self._tensors = {name: value.to(self._device) for name, value in fresh.items()}
            self._values = values
        return self._tensors


def flat_options(group: Mapping[str, Any]) -> dict[str, Any]:
    """A group's options, pairs taken apart."""
    options = dict(group)
    for pair, (first, second) in PAIRS.items():
        if isinstance(options.get(pair), tuple | list):
            options[first], options[second] = options[pair]
    return options
