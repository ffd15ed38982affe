"""LAMB: Adam's direction, scaled to each parameter's norm (You et al. 2020)."""

from __future__ import annotations

from torch import Tensor

from ravine.rules._parts import norm, zeros_and_step
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import DECOUPLED, MOMENTS
from ravine.rules.adam import adam_direction
from ravine.rules.lars import trusted


def lamb(
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 1e-2,
) -> Rule:
    r"""Layer-wise Adaptive Moments for Batch training, every parameter by itself.

        u = ŝ / (√r̂ + δ) + λθ          ŝ, r̂ as in Adam
        κ = ‖θ‖ / ‖u‖                  1 where ‖θ‖ or ‖u‖ is 0
        θ ← θ - ε κ u

    The paper's scaling function φ is the identity, as in its experiments.

    Args:
        lr: ε, step size, measured in ‖θ‖. beta1: ρ₁, decay of the first moment.
        beta2: ρ₂, of the second. eps: δ, added outside the root.
        weight_decay: λ, inside the scaled direction; the paper's 0.01.

    State: exp_avg (s) and exp_avg_sq (r), shaped like the parameter; step (t), 0-D.
    Source: You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
        ICLR 2020, algorithm 2.
    """
    return Rule(
        name="lamb",
        title="LAMB",
        defaults={
            "lr": lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": eps,
            "weight_decay": weight_decay,
        },
        tunable={**MOMENTS, "weight_decay": DECOUPLED},
        init=zeros_and_step("exp_avg", "exp_avg_sq"),
        update=_update,
        granularity="tensor",
        source="You et al. 2020, algorithm 2",
    )


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    direction, state = adam_direction(grad, state, hyper)
    u = direction + hyper["weight_decay"] * param
    theta_norm, u_norm = norm(param), norm(u)
    ratio = trusted(theta_norm / u_norm, theta_norm, u_norm)
    return param - hyper["lr"] * ratio * u, state
