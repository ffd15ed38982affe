"""Penalties on parameters, added to the cost that is minimized: (parameters by name) -> 0-D.

Recipe(..., cost=F.cross_entropy, penalty=penalties.l2(1e-4))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from ravine.errors import SettingError

Penalty = Callable[[Mapping[str, Tensor]], Tensor]
"""(trainable parameters by name) -> 0-D."""


def l2(strength: float, least_dims: int = 1) -> Penalty:
    """λ/2 Σ θ², whose gradient λθ is the weight decay of torch's SGD and Adam.

    Args:
        strength: λ, 0 or more.
        least_dims: parameters of fewer dimensions are left out: 2 leaves out biases, and the scales
            and shifts of normalization.

    Raises:
        SettingError: a negative strength.

    Source: Goodfellow, Bengio & Courville 2016, section 7.1.1.
    """
    if not strength >= 0:
        raise SettingError(f"l2({strength!r}); expected a number from 0 on, e.g. l2(1e-4)")
    return partial(_l2, strength, least_dims)


def _l2(strength: float, least_dims: int, parameters: Mapping[str, Tensor]) -> Tensor:
    squares = [p.square().sum() for p in parameters.values() if p.ndim >= least_dims]
    return strength / 2 * torch.stack(squares).sum()
