"""AdaMax: Adam scaled by the largest recent gradient (Kingma & Ba 2015)."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.rules._parts import average, debias, zeros_and_step
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import MOMENTS


def adamax(lr: float = 2e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Rule:
    r"""AdaMax.

        s ← ρ₁ s + (1-ρ₁) g
        u ← max(ρ₂ u, |g| + δ)
        θ ← θ - ε s / (1-ρ₁ᵗ) / u

    The maximum forgets its zero start at once, so that only s needs correction for bias.

    Args:
        lr: ε, step size: 2e-3 in the paper, in torch and in Keras 2; 1e-3 in Keras 3.
        beta1: ρ₁, decay of the first moment. beta2: ρ₂, of the maximum.
        eps: δ, keeps u above zero as in torch; the paper has none. Keras adds 1e-7 to u instead.

    State: exp_avg (s) and exp_inf (u), shaped like the parameter; step (t), 0-D.
    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 2.
    """
    return Rule(
        name="adamax",
        title="AdaMax",
        defaults={"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps},
        tunable=MOMENTS,
        init=zeros_and_step("exp_avg", "exp_inf"),
        update=_update,
        source="Kingma & Ba 2015, algorithm 2",
    )


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    t = state["step"] + 1
    s = average(state["exp_avg"], grad, hyper["beta1"])
    u = torch.maximum(hyper["beta2"] * state["exp_inf"], grad.abs() + hyper["eps"])
    param = param - hyper["lr"] * debias(s, hyper["beta1"], t) / u
    return param, {"exp_avg": s, "exp_inf": u, "step": t}
