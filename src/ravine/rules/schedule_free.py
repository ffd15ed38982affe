"""Schedule-Free SGD and AdamW: averaging in place of a schedule (Defazio et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ravine.rules._parts import average, debias, root_plus, zeros, zeros_and_step
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import MEMORY, MOMENTS


def schedule_free_sgd(
    lr: float = 1.0,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    warmup_steps: float = 0,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
) -> Rule:
    r"""Schedule-Free SGD.

        γ = ε min(1, t/T)              w = tʳ (largest γ so far)ᵖ
        c = w / (sum of all w so far)
        z ← z - γ (g + λy)             g taken at y
        x ← (1-c) x + c z
        y ← (1-β) z + β x

    The stored parameter is y; the weights to evaluate are x = y + (1 - 1/β)(z - y).

    Args:
        lr: ε, step size. momentum: β, how near to x the gradient is taken; 0 < β ≤ 1.
        weight_decay: λ, at y. warmup_steps: T, steps until γ = ε; 0 for no warm-up.
        r: power of the step in the weights of the average.
        weight_lr_power: p, power of the step size in them; counts only where γ is not constant.

    State: z, shaped like the parameter; step (t), weight_sum and lr_max (the largest γ), 0-D.
    Source: Defazio et al., "The Road Less Scheduled", NeurIPS 2024, equations 3-5; weights,
        warm-up and defaults as in the authors' package schedulefree.
    """
    return Rule(
        name="schedule_free_sgd",
        title="Schedule-Free SGD",
        defaults={
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
        },
        tunable={"momentum": MEMORY},
        init=_init,
        update=_sgd,
        output=_averaged_by("momentum"),
        source="Defazio et al. 2024, equations 3-5",
    )


def schedule_free_adamw(
    lr: float = 2.5e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    warmup_steps: float = 0,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
) -> Rule:
    r"""Schedule-Free AdamW: Adam's second moment, and averaging in place of the first.

        s ← ρ₂ s + (1-ρ₂) g⊙g          g taken at y
        ŝ = s / (1-ρ₂ᵗ)
        z ← z - γ (g / (√ŝ + δ) + λy)  γ, c, x and y as in `schedule_free_sgd`, β = ρ₁

    Args:
        lr: ε, step size. beta1: ρ₁, how near to x the gradient is taken; 0 < ρ₁ ≤ 1.
        beta2: ρ₂, decay of the second moment. eps: δ, added outside the root.
        weight_decay: λ, at y. warmup_steps: T, steps until γ = ε; 0 for no warm-up.
        r: power of the step in the weights of the average.
        weight_lr_power: p, power of the step size in them; counts only where γ is not constant.

    State: as `schedule_free_sgd`, and exp_avg_sq (s), shaped like the parameter.
    Source: Defazio et al., "The Road Less Scheduled", NeurIPS 2024, algorithm 1, with s corrected
        for bias as in the authors' package schedulefree since 1.3; defaults as there.
    """
    return Rule(
        name="schedule_free_adamw",
        title="Schedule-Free AdamW",
        defaults={
            "lr": lr,
            "beta1": beta1,
            "beta2": beta2,
            "eps": eps,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
        },
        tunable=MOMENTS,
        init=lambda param: {**_init(param), **zeros("exp_avg_sq")(param)},
        update=_adamw,
        output=_averaged_by("beta1"),
        source="Defazio et al. 2024, algorithm 1",
    )


def _init(param: Tensor) -> State:
    """Sums of weights are at least float32, like the count."""
    wide = torch.promote_types(param.dtype, torch.float32)
    none = torch.zeros((), dtype=wide, device=param.device)
    return {
        **zeros_and_step()(param),
        "z": param.clone(),
        "weight_sum": none,
        "lr_max": none.clone(),
    }


def _sgd(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    lr, c, counts = _weigh(state, hyper)
    direction = grad + hyper["weight_decay"] * param
    y, z = _descend(param, state["z"], direction, lr, c, hyper["momentum"])
    return y, {**counts, "z": z}


def _adamw(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    lr, c, counts = _weigh(state, hyper)
    s = average(state["exp_avg_sq"], grad * grad, hyper["beta2"])
    s_hat = debias(s, hyper["beta2"], counts["step"])
    direction = grad / root_plus(s_hat, hyper["eps"]) + hyper["weight_decay"] * param
    y, z = _descend(param, state["z"], direction, lr, c, hyper["beta1"])
    return y, {**counts, "z": z, "exp_avg_sq": s}


def _weigh(state: State, hyper: Hyper) -> tuple[Tensor, Tensor, State]:
    """This step's size γ, the weight c of the new z in the average, and the counts after it."""
    t = state["step"] + 1
    lr = hyper["lr"] * (t / hyper["warmup_steps"]).clamp(max=1)  # T = 0 gives infinity, so 1
    lr_max = torch.maximum(state["lr_max"], lr)
    weight = t ** hyper["r"] * lr_max ** hyper["weight_lr_power"]
    weight_sum = state["weight_sum"] + weight
    c = torch.where(weight_sum > 0, weight / weight_sum, 0.0)  # 0/0 while the step size is 0
    counts = {
        "step": t,
        "weight_sum": weight_sum.to(state["weight_sum"].dtype),
        "lr_max": lr_max.to(state["lr_max"].dtype),
    }
    return lr, c, counts


def _descend(
    y: Tensor, z: Tensor, direction: Tensor, lr: Tensor, c: Tensor, beta: Tensor
) -> tuple[Tensor, Tensor]:
    """y and z after the step; x, which lies on the line through them, is left out."""
    return y + c * (z - y) - lr * (1 - beta * (1 - c)) * direction, z - lr * direction


def _averaged_by(name: str) -> Callable[[Tensor, State, Hyper], Tensor]:
    """The average x, from y and z, where hyperparameter `name` is β."""
    return lambda param, state, hyper: param + (1 - 1 / hyper[name]) * (state["z"] - param)
