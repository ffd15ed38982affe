"""RAdam: Adam that adapts only once it can trust the second moment (Liu et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.rules._parts import average, debias, root_plus, zeros_and_step
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import MOMENTS


def radam(lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Rule:
    r"""RAdam.

        s ← ρ₁ s + (1-ρ₁) g            r ← ρ₂ r + (1-ρ₂) g⊙g
        ŝ = s / (1-ρ₁ᵗ)                n∞ = 2/(1-ρ₂) - 1
        n = n∞ - 2t ρ₂ᵗ/(1-ρ₂ᵗ)        how many gradients r averages
        a = √((n-4)(n-2) n∞ / ((n∞-4)(n∞-2) n)) · √(1-ρ₂ᵗ) / (√r + δ)    if n > 5, else 1
        θ ← θ - ε a ŝ

    With ρ₂ = 0.999 the first 5 steps are plain momentum; with ρ₂ ≤ 2/3 all steps are.

    Args:
        lr: ε, step size. beta1: ρ₁, decay of the first moment. beta2: ρ₂, of the second.
        eps: δ, added to √r before the correction for bias, as in torch.

    State: exp_avg (s) and exp_avg_sq (r), shaped like the parameter; step (t), 0-D.
    Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020,
        algorithm 2, which adapts from n > 4 on; n > 5 as in the authors' code and torch.
    """
    return Rule(
        name="radam",
        title="RAdam",
        defaults={"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps},
        tunable=MOMENTS,
        init=zeros_and_step("exp_avg", "exp_avg_sq"),
        update=_update,
        source="Liu et al. 2020, algorithm 2",
    )


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    t = state["step"] + 1
    s = average(state["exp_avg"], grad, hyper["beta1"])
    r = average(state["exp_avg_sq"], grad * grad, hyper["beta2"])
    s_hat = debias(s, hyper["beta1"], t)
    param = param - hyper["lr"] * _adaptation(r, t, hyper) * s_hat
    return param, {"exp_avg": s, "exp_avg_sq": r, "step": t}


def _adaptation(r: Tensor, t: Tensor, hyper: Hyper) -> Tensor:
    """The factor a: 1 until r averages more than 5 gradients, then rectified 1/√r̂."""
    n, n_inf = _lengths(t, hyper["beta2"])
    # Between n = 2 and 4 the ratio is negative. torch.where drops the NaN of its root, but the
    # derivative of a step would keep it.
    ratio = (n - 4) * (n - 2) * n_inf / ((n_inf - 4) * (n_inf - 2) * n)
    unbiased = (ratio.clamp(min=0) * (1 - hyper["beta2"] ** t)).sqrt()
    return torch.where(n > 5, unbiased / root_plus(r, hyper["eps"]), 1.0)


def _lengths(t: Tensor, beta2: Tensor) -> tuple[Tensor, Tensor]:
    """How many gradients r averages at step t, and in the end.

    ρᵗ/(1-ρᵗ) is written 1/(ρ⁻ᵗ-1) through expm1. At t = 5 with ρ₂ = 0.999, n is 0.004 below the
    threshold, and the subtraction 1-ρᵗ is off by up to 0.02 there in a float32 population.
    """
    n_inf = 2 / (1 - beta2) - 1
    return n_inf - 2 * t / torch.expm1(-t * beta2.log()), n_inf
