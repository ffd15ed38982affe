"""What optimizers are given: options, parameters, gradients."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from ravine.errors import SettingError, UnknownOptionError
from ravine.transforms.precision import ROUNDINGS

ENGINES = ("auto", "eager", "compiled")


def check_ways(engine: str, rounding: str) -> None:
    """Raise SettingError unless there are an engine and a rounding of these names."""
    if engine not in ENGINES:
        raise SettingError(f"engine={engine!r} is unknown; pass {_either(ENGINES)}.")
    if rounding not in ROUNDINGS:
        raise SettingError(f"rounding={rounding!r} is unknown; pass {_either(tuple(ROUNDINGS))}.")


def _either(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names[:-1]) + f' or "{names[-1]}"'


def check_group(group: dict[str, Any], engine: str) -> None:
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
    _check_way(group, engine)
    _check_params(group["params"])


def check_dense(grads: Sequence[Tensor]) -> None:
    """Raise SettingError if a gradient is sparse."""
    for grad in grads:
        if grad.layout is not torch.strided:
            raise SettingError(
                f"a gradient of shape {list(grad.shape)} is sparse, and ravine's rules need dense "
                "ones: build the layer with sparse=False, or use torch.optim.SparseAdam for it."
            )


def known_keywords(init: Callable[..., None], name: str) -> Callable[..., None]:
    """A constructor that says which option was meant where it does not know one.

    Raises:
        UnknownOptionError: (when called) a keyword that the constructor does not take.
    """
    parameters = inspect.signature(init).parameters
    known = [key for key in parameters if key != "self"]

    @wraps(init)
    def checked(self: Any, *args: Any, **options: Any) -> None:
        for key in options:
            if key not in parameters:
                listing = f"help(ravine.optim.{name})"
                raise UnknownOptionError.of(f"option of {name}:", key, known, listing)
        init(self, *args, **options)

    return checked


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


def _check_way(group: dict[str, Any], engine: str) -> None:
    """Options that say how to run, where two of them contradict each other."""
    if group.get("fused") and group.get("foreach"):
        raise SettingError("fused=True and foreach=True came together; pass one of them or none.")
    if not group.get("differentiable"):
        return
    for name in ("fused", "capturable"):
        if group.get(name):
            raise SettingError(
                f"differentiable=True and {name}=True came together, and gradients cannot flow "
                f"through such a step: leave {name} out."
            )
    if engine == "compiled":
        raise SettingError(
            'differentiable=True needs the reference engine: pass engine="auto" or "eager".'
        )


def _check_params(params: Sequence[Tensor]) -> None:
    kinds = sorted({param.device.type for param in params})
    if len(kinds) > 1:
        raise SettingError(
            f"the parameters of one group lie on different devices, {' and '.join(kinds)}: "
            "move the model to one of them, or make a group for each."
        )
    if len(set(map(id, params))) < len(params):
        raise SettingError(
            "a parameter came twice in one group; each parameter is to be given once."
        )


def _check_range(name: str, value: float | Tensor, end: float) -> None:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise SettingError(
            f"{name} is a tensor of shape {list(value.shape)}; it must hold exactly one number."
        )
    if not 0 <= value < end:
        wanted = "a finite number >= 0" if end == math.inf else f"in [0, {end:g})"
        raise SettingError(f"{name}={value} is out of range; it must be {wanted}.")
