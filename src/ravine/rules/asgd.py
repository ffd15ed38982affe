"""ASGD: gradient descent that returns the average of its path (Polyak & Juditsky 1992)."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.rules._parts import zeros_and_step
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import Span


def asgd(lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6) -> Rule:
    r"""Averaged stochastic gradient descent.

        θ ← (1 - λη) θ - η g           η = ε at the first step
        θ̄ ← θ̄ + μ (θ - θ̄)              μ = 1 at the first step
        η ← ε / (1 + λεt)^α            for the next step
        μ ← 1 / max(1, t - t₀)         for the next step

    The weights to evaluate are θ̄, which is θ itself up to step t₀ + 2.

    Args:
        lr: ε, initial step size. η is computed one step ahead, so a new ε counts one step late,
            as in torch.
        lambd: λ, weight of the L2 penalty that is part of the algorithm; also slows η down.
        alpha: α, power with which η falls.
        t0: t₀, number of steps before averaging starts. torch's 1e6 is longer than most runs;
            set it to where the last epochs begin.

    State: ax (θ̄), shaped like the parameter; step (t), eta (η) and mu (μ), 0-D. η depends on the
        ε of the step before, which step alone does not tell; μ is kept beside it as torch does.
    Source: Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992;
        η as in Bottou, "Stochastic Gradient Descent Tricks", 2012; torch.optim.ASGD.
    """
    return Rule(
        name="asgd",
        title="ASGD",
        defaults={"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0},
        tunable={
            "lambd": Span(1e-6, 1e-2, "log", "two decades to both sides of torch's"),
            "alpha": Span(0.5, 1.0, "linear", "where averages converge (Polyak & Juditsky 1992)"),
        },
        init=_init,
        update=_update,
        output=_average,
        source="Polyak & Juditsky 1992; torch.optim.ASGD",
    )


def _init(param: Tensor) -> State:
    """η waits for the first step, which knows ε; at least float32, like the count."""
    wide = torch.promote_types(param.dtype, torch.float32)
    return {
        **zeros_and_step()(param),
        "ax": param.clone(),
        "eta": torch.zeros((), dtype=wide, device=param.device),
        "mu": torch.ones((), dtype=wide, device=param.device),
    }


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    lr, lambd, t = hyper["lr"], hyper["lambd"], state["step"] + 1
    eta = torch.where(state["step"] == 0, lr, state["eta"])
    param = (1 - lambd * eta) * param - eta * grad
    ax = state["ax"] + state["mu"] * (param - state["ax"])
    eta = lr / (1 + lambd * lr * t) ** hyper["alpha"]
    mu = 1 / (t - hyper["t0"]).clamp(min=1)
    return param, {
        "step": t,
        "ax": ax,
        "eta": eta.to(state["eta"].dtype),
        "mu": mu.to(state["mu"].dtype),
    }


def _average(param: Tensor, state: State, hyper: Hyper) -> Tensor:
    return state["ax"]
