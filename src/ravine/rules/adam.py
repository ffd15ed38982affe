"""Adam: adaptive moments (Kingma & Ba 2015), and its variants AMSGrad, AdamW and NAdam."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.rules._parts import average, debias, root_plus, shrink, zeros_and_step
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import DECOUPLED, MOMENTS


def adam(lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Rule:
    r"""Adam.

        s ← ρ₁ s + (1-ρ₁) g            r ← ρ₂ r + (1-ρ₂) g⊙g
        ŝ = s / (1-ρ₁ᵗ)                r̂ = r / (1-ρ₂ᵗ)
        θ ← θ - ε ŝ / (√r̂ + δ)

    Args:
        lr: ε, step size. beta1: ρ₁, decay of the first moment. beta2: ρ₂, of the second.
        eps: δ, added outside the root. Keras's default is 1e-7, torch's and the paper's 1e-8.

    State: exp_avg (s) and exp_avg_sq (r), shaped like the parameter; step (t), 0-D.
    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.
    """
    return Rule(
        name="adam",
        title="Adam",
        defaults={"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps},
        tunable=MOMENTS,
        init=zeros_and_step("exp_avg", "exp_avg_sq"),
        update=_adam,
        source="Kingma & Ba 2015, algorithm 1",
    )


def amsgrad(lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Rule:
    r"""AMSGrad: Adam whose second moment never forgets its maximum.

        s, r as in Adam                r_max ← max(r_max, r)
        θ ← θ - ε ŝ / (√r̂_max + δ)     both corrected for bias, as torch and Keras do

    Args:
        lr: ε, step size. beta1: ρ₁, decay of the first moment. beta2: ρ₂, of the second.
        eps: δ, added outside the root.

    State: as `adam`, and max_exp_avg_sq (r_max), shaped like the parameter.
    Source: Reddi, Kale & Kumar, "On the Convergence of Adam and Beyond", ICLR 2018, algorithm 2
        (which leaves the bias in).
    """
    return Rule(
        name="amsgrad",
        title="AMSGrad",
        defaults={"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps},
        tunable=MOMENTS,
        init=zeros_and_step("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
        update=_amsgrad,
        source="Reddi, Kale & Kumar 2018, algorithm 2",
    )


def adamw(
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> Rule:
    r"""AdamW: Adam with weight decay decoupled from the gradient.

        θ ← θ - ελθ                    then Adam's step

    The same as `ravine.transforms.decoupled(weight_decay)(adam())`.

    Args:
        lr: ε, step size. beta1: ρ₁, decay of the first moment. beta2: ρ₂, of the second.
        eps: δ, added outside the root.
        weight_decay: λ. Keras's default is 4e-3, torch's 1e-2.

    State: as `adam`.
    Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2,
        with λ multiplied by the step size as torch does.
    """
    return Rule(
        name="adamw",
        title="AdamW",
        defaults={**adam(lr, beta1, beta2, eps).defaults, "weight_decay": weight_decay},
        tunable={**MOMENTS, "weight_decay": DECOUPLED},
        init=zeros_and_step("exp_avg", "exp_avg_sq"),
        update=_adamw,
        source="Loshchilov & Hutter 2019, algorithm 2",
    )


def nadam(
    lr: float = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> Rule:
    r"""NAdam: Adam with Nesterov momentum, whose coefficient warms up.

        μᵢ = ρ₁ (1 - ½ 0.96^(iψ))      s, r as in Adam
        ŝ = μₜ₊₁ s / (1 - μ₁⋯μₜ₊₁) + (1-μₜ) g / (1 - μ₁⋯μₜ)
        θ ← θ - ε ŝ / (√r̂ + δ)

    Args:
        lr: ε, step size. Keras's default is 1e-3, torch's 2e-3.
        beta1: ρ₁, decay of the first moment. beta2: ρ₂, of the second.
        eps: δ, added outside the root.
        momentum_decay: ψ, how fast the momentum coefficient warms up.

    State: exp_avg (s) and exp_avg_sq (r), shaped like the parameter; step (t) and
        mu_product (μ₁⋯μₜ), 0-D.
    Source: Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016, algorithm 2;
        the schedule of μ as in torch and Keras.
    """
    return Rule(
        name="nadam",
        title="NAdam",
        defaults={**adam(lr, beta1, beta2, eps).defaults, "momentum_decay": momentum_decay},
        tunable=MOMENTS,
        init=_init_nadam,
        update=_nadam,
        source="Dozat 2016, algorithm 2",
    )


def adam_direction(grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """Adam's direction ŝ / (√r̂ + δ), and the state after this step."""
    s, r, t = _moments(grad, state, hyper)
    s_hat = debias(s, hyper["beta1"], t)
    return _ratio(s_hat, r, t, hyper), {"exp_avg": s, "exp_avg_sq": r, "step": t}


def _adam(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    direction, state = adam_direction(grad, state, hyper)
    return param - hyper["lr"] * direction, state


def _amsgrad(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    s, r, t = _moments(grad, state, hyper)
    s_hat = debias(s, hyper["beta1"], t)
    r_max = torch.maximum(state["max_exp_avg_sq"], r)
    param = _descend(param, s_hat, r_max, t, hyper)
    return param, {"exp_avg": s, "exp_avg_sq": r, "max_exp_avg_sq": r_max, "step": t}


def _adamw(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    return _adam(shrink(param, hyper), grad, state, hyper)


def _nadam(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    s, r, t = _moments(grad, state, hyper)
    mu, mu_next = _warmed_up(t, hyper), _warmed_up(t + 1, hyper)
    product = (state["mu_product"] * mu).to(state["mu_product"].dtype)
    s_hat = mu_next / (1 - product * mu_next) * s + (1 - mu) / (1 - product) * grad
    param = _descend(param, s_hat, r, t, hyper)
    return param, {"exp_avg": s, "exp_avg_sq": r, "step": t, "mu_product": product}


def _moments(grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, Tensor, Tensor]:
    """First moment s, second moment r and step count t, all after this step."""
    s = average(state["exp_avg"], grad, hyper["beta1"])
    r = average(state["exp_avg_sq"], grad * grad, hyper["beta2"])
    return s, r, state["step"] + 1


def _descend(param: Tensor, s_hat: Tensor, r: Tensor, t: Tensor, hyper: Hyper) -> Tensor:
    return param - hyper["lr"] * _ratio(s_hat, r, t, hyper)


def _ratio(s_hat: Tensor, r: Tensor, t: Tensor, hyper: Hyper) -> Tensor:
    """ŝ / (√r̂ + δ)."""
    return s_hat / root_plus(debias(r, hyper["beta2"], t), hyper["eps"])


def _warmed_up(t: Tensor, hyper: Hyper) -> Tensor:
    """NAdam's momentum coefficient μₜ."""
    return hyper["beta1"] * (1 - 0.5 * 0.96 ** (t * hyper["momentum_decay"]))


def _init_nadam(param: Tensor) -> State:
    """As Adam's; the product is at least float32, since factors near 1 need the digits."""
    wide = torch.promote_types(param.dtype, torch.float32)
    ones = torch.ones((), dtype=wide, device=param.device)
    return {**zeros_and_step("exp_avg", "exp_avg_sq")(param), "mu_product": ones}
