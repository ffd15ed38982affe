"""Rprop: resilient backpropagation, steps by the sign of the slope (Riedmiller & Braun 1993)."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.rules._parts import zeros_and_step
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import Span


def rprop(
    lr: float = 1e-2,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    step_min: float = 1e-6,
    step_max: float = 50.0,
) -> Rule:
    r"""Rprop, for full batches only: minibatch noise flips the signs it reads.

        Δ ← η⁺ Δ                       where g′⊙g > 0: the slope kept its sign
        Δ ← η⁻ Δ, g ← 0                where g′⊙g < 0: it changed its sign
        Δ ← min(max(Δ, Δmin), Δmax)
        θ ← θ - Δ⊙sign(g)
        g′ ← g

    Where a slope changed its sign the element rests for one step, as in torch; the paper takes the
    last step back there.

    Args:
        lr: Δ of every element before the first step; without effect afterwards, as in torch.
        eta_minus: η⁻ < 1, factor of a step whose slope changed its sign. eta_plus: η⁺ > 1, of one
            whose slope kept it.
        step_min: Δmin. step_max: Δmax. The shortest and the longest step.

    State: prev (g′) and step_size (Δ), shaped like the parameter; step, 0-D.
    Source: Riedmiller & Braun, "A Direct Adaptive Method for Faster Backpropagation Learning: The
        RPROP Algorithm", ICNN 1993; the variant iRprop- of Igel & Hüsken, "Improving the Rprop
        Learning Algorithm", 2000, as torch.optim.Rprop.
    """
    return Rule(
        name="rprop",
        title="Rprop",
        defaults={
            "lr": lr,
            "eta_minus": eta_minus,
            "eta_plus": eta_plus,
            "step_min": step_min,
            "step_max": step_max,
        },
        tunable={
            "eta_minus": Span(0.3, 0.7, "linear", "around the paper's 0.5"),
            "eta_plus": Span(1.05, 1.5, "linear", "around the paper's 1.2"),
        },
        init=zeros_and_step("prev", "step_size"),
        update=_update,
        source="Riedmiller & Braun 1993; Igel & Hüsken 2000, iRprop-",
    )


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    agreement = state["prev"] * grad
    # The size is 0 until the first step, which knows the learning rate.
    size = state["step_size"] + torch.where(state["step"] == 0, hyper["lr"], 0.0)
    grown = torch.where(agreement > 0, hyper["eta_plus"] * size, size)
    size = torch.where(agreement < 0, hyper["eta_minus"] * size, grown)
    # Not clamp, which under vmap widens float32 to the float64 of its bounds.
    size = torch.minimum(torch.maximum(size, hyper["step_min"]), hyper["step_max"])
    grad = torch.where(agreement < 0, 0.0, grad)
    return param - size * grad.sign(), {
        "prev": grad,
        "step_size": size,
        "step": state["step"] + 1,
    }
