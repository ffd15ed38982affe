"""Parts that several rules share: states, moving averages, bias correction, denominators, decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules._rule import Hyper, State

Delta = Literal["outside", "inside"]
"""Where δ keeps a division by √r finite: √r + δ or √(r + δ)."""


def no_state(param: Tensor) -> State:
    """The state of a rule that remembers nothing."""
    return {}


def zeros(*names: str) -> Callable[[Tensor], State]:
    """States shaped like the parameter, zero before the first step."""
    return lambda param: {name: torch.zeros_like(param) for name in names}


def zeros_and_step(*names: str) -> Callable[[Tensor], State]:
    """As `zeros`, and a 0-D count of steps.

    The count is float32 like torch's: bfloat16 would stop counting at 256.
    """
    return lambda param: {
        **{name: torch.zeros_like(param) for name in names},
        "step": torch.zeros((), dtype=torch.float32, device=param.device),
    }


def average(old: Tensor, new: Tensor, decay: Tensor) -> Tensor:
    """Exponential moving average, decay·old + (1-decay)·new."""
    return decay * old + (1 - decay) * new


def debias(moment: Tensor, decay: Tensor, step: Tensor) -> Tensor:
    """Undo the pull towards the zero start: moment / (1 - decayᵗ)."""
    return moment / (1 - decay**step)


def norm(x: Tensor) -> Tensor:
    """Euclidean norm of each parameter laid out along the last axis, [..., n] -> [..., 1]."""
    return x.square().sum(dim=-1, keepdim=True).sqrt()


def root_plus(r: Tensor, delta: Tensor) -> Tensor:
    """√r + δ, the denominator with δ outside the root."""
    return r.sqrt() + delta


def root_of_sum(r: Tensor, delta: Tensor) -> Tensor:
    """√(r + δ), the denominator with δ inside the root."""
    return (r + delta).sqrt()


def denominator(delta: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The denominator (r, δ) -> Tensor with δ "outside" or "inside" the root."""
    choices = {"outside": root_plus, "inside": root_of_sum}
    if delta not in choices:
        raise SettingError(
            f'delta={delta!r} is not a place for δ; it stands "outside" the root, √r + δ, '
            'or "inside", √(r + δ): pass one of these two words.'
        )
    return choices[delta]


def shrink(param: Tensor, hyper: Hyper) -> Tensor:
    """Decoupled weight decay, θ - ελθ."""
    return (1 - hyper["lr"] * hyper["weight_decay"]) * param


def look_ahead(param: Tensor, state: State, hyper: Hyper) -> Tensor:
    """Nesterov's interim point θ + αv, at which the gradient is taken."""
    return param + hyper["momentum"] * state["velocity"]
