"""LARS: momentum whose step is a fixed part of each parameter's norm (You et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.rules._parts import norm, zeros
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import MEMORY, Span


def lars(
    lr: float = 1.0,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    trust_coefficient: float = 1e-3,
) -> Rule:
    r"""Layer-wise Adaptive Rate Scaling, every parameter by itself.

        κ = η ‖θ‖ / (‖g‖ + λ‖θ‖)       1 where ‖θ‖ or ‖g‖ is 0
        v ← α v - ε κ (g + λθ)
        θ ← θ + v

    Args:
        lr: ε, step size. The paper gives no default; 1 makes one step η long, measured in ‖θ‖.
        momentum: α, how much velocity is kept.
        weight_decay: λ, inside the gradient and inside the trust ratio; the paper's 5e-4.
        trust_coefficient: η, how far a parameter is trusted to move per step, in parts of ‖θ‖.

    State: velocity (v), shaped like the parameter; the paper's has the other sign.
    Source: You, Gitman & Ginsburg, "Large Batch Training of Convolutional Networks", 2017,
        algorithm 1. Its decay of ε over time is a schedule, and stays outside.
    """
    return Rule(
        name="lars",
        title="LARS",
        defaults={
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
        },
        tunable={
            "momentum": MEMORY,
            "weight_decay": Span(5e-5, 5e-3, "log", "a decade to both sides of the paper's"),
        },
        init=zeros("velocity"),
        update=_update,
        granularity="tensor",
        source="You, Gitman & Ginsburg 2017, algorithm 1",
    )


def trusted(ratio: Tensor, *norms: Tensor) -> Tensor:
    """The trust ratio, or 1 where a norm is 0: such a parameter has no scale of its own yet."""
    positive = torch.stack(norms).amin(dim=0) > 0
    return torch.where(positive, ratio, 1.0)


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    decay, theta_norm, g_norm = hyper["weight_decay"], norm(param), norm(grad)
    ratio = hyper["trust_coefficient"] * theta_norm / (g_norm + decay * theta_norm)
    local_lr = hyper["lr"] * trusted(ratio, theta_norm, g_norm)
    v = hyper["momentum"] * state["velocity"] - local_lr * (grad + decay * param)
    return param + v, {"velocity": v}
