"""What the options of an optimizer may be."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ravine.errors import SettingError

_AT_LEAST_ZERO = (
    "lr",
    "momentum",
    "weight_decay",
    "alpha",
    "eps",
    "lr_decay",
    "initial_accumulator_value",
    "momentum_decay",
)
_NOT_YET = ("fused", "capturable", "differentiable")


def check_engine(engine: str) -> str:
    """Return `engine` if there is one of that name.

    Raises:
        SettingError: there is none, or not yet.
    """
    if engine == "compiled":
        raise SettingError('engine="compiled" is not available yet; pass "auto" or "eager".')
    if engine not in ("auto", "eager"):
        raise SettingError(f'engine={engine!r} is unknown; pass "auto" or "eager".')
    return engine


def check_group(group: dict[str, Any]) -> None:
    """Check the options and the parameters of one group.

    Raises:
        SettingError: the first thing that cannot be used.
    """
    for name in _AT_LEAST_ZERO:
        if name in group:
            _check_range(name, group[name], math.inf)
    for index, beta in enumerate(group.get("betas", ())):
        _check_range(f"betas[{index}]", beta, 1.0)
    if "rho" in group and not 0 <= group["rho"] <= 1:
        raise SettingError(f"rho={group['rho']} is out of range; it must lie in [0, 1].")
    for name in _NOT_YET:
        if group.get(name):
            raise SettingError(
                f"{name}=True is not available yet; leave it out. The engine chooses how to run."
            )
    for param in group["params"]:
        if param.is_complex():
            raise SettingError(
                f"a parameter of dtype {param.dtype} came, and the rules are for real numbers: "
                "keep torch.view_as_real(param) as the parameter instead."
            )


def _check_range(name: str, value: float | Tensor, end: float) -> None:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise SettingError(
            f"{name} is a tensor of shape {list(value.shape)}; it must hold exactly one number."
        )
    if not 0 <= value < end:
        wanted = "a finite number >= 0" if end == math.inf else f"in [0, {end:g})"
        raise SettingError(f"{name}={value} is out of range; it must be {wanted}.")
