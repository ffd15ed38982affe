"""Momentum: heavy ball and Nesterov, with a velocity (the papers) or a buffer (torch).

A velocity v carries the step size it was made with, a buffer b does not: while ε is constant,
v = -εb.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.rules._parts import look_ahead, zeros, zeros_and_step
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import MEMORY


def momentum(lr: float = 1e-3, momentum: float = 0.9) -> Rule:
    r"""SGD with momentum.

        v ← α v - ε g
        θ ← θ + v

    Args:
        lr: ε, step size. Keras's SGD default is 1e-2, torch's 1e-3.
        momentum: α, how much velocity is kept. torch and Keras default to 0; 0.5, 0.9 and 0.99
            are common.

    State: velocity (v), shaped like the parameter.
    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964;
        written with a velocity by Sutskever et al. 2013, equations 1-2.
    """
    return Rule(
        name="momentum",
        title="Momentum",
        defaults={"lr": lr, "momentum": momentum},
        tunable={"momentum": MEMORY},
        init=zeros("velocity"),
        update=_roll,
        source="Polyak 1964; Sutskever et al. 2013, equations 1-2",
    )


def nesterov(lr: float = 1e-3, momentum: float = 0.9) -> Rule:
    r"""SGD with Nesterov momentum: the same update, its gradient taken one velocity ahead.

        g = ∇J(θ + α v)                the interim update is the rule's `probe`
        v ← α v - ε g
        θ ← θ + v

    Args:
        lr: ε, step size. Keras's SGD default is 1e-2, torch's 1e-3.
        momentum: α, how much velocity is kept.

    State: velocity (v), shaped like the parameter.
    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning",
        ICML 2013, equations 3-4, after Nesterov 1983.
    """
    return Rule(
        name="nesterov",
        title="Nesterov momentum",
        defaults={"lr": lr, "momentum": momentum},
        tunable={"momentum": MEMORY},
        init=zeros("velocity"),
        update=_roll,
        probe=look_ahead,
        source="Sutskever et al. 2013, equations 3-4",
    )


def heavy_ball(lr: float = 1e-3, momentum: float = 0.9, dampening: float = 0.0) -> Rule:
    r"""SGD with momentum as torch writes it: the step size stays outside the buffer.

        b ← g                          at the first step
        b ← μ b + (1-τ) g              afterwards
        θ ← θ - ε b

    Args:
        lr: ε, step size. momentum: μ, how much of the buffer is kept.
        dampening: τ, how much of a new gradient is left out from the second step on.

    State: momentum_buffer (b), shaped like the parameter; step, 0-D.
    Source: torch.optim.SGD.
    """
    return Rule(
        name="heavy_ball",
        title="Momentum (buffer)",
        defaults={"lr": lr, "momentum": momentum, "dampening": dampening},
        tunable={"momentum": MEMORY},
        init=zeros_and_step("momentum_buffer"),
        update=_heavy_ball,
        source="torch.optim.SGD",
    )


def nesterov_buffer(lr: float = 1e-3, momentum: float = 0.9) -> Rule:
    r"""Nesterov momentum as torch writes it: the stored parameter is the look-ahead point itself.

        b ← μ b + g
        θ ← θ - ε (g + μ b)

    While ε and μ are constant, this θ is the probe θ + αv of `nesterov`.

    Args:
        lr: ε, step size. momentum: μ, how much of the buffer is kept.

    State: momentum_buffer (b), shaped like the parameter.
    Source: Bengio et al., "Advances in optimizing recurrent networks", 2013, section 3.5;
        torch.optim.SGD(nesterov=True).
    """
    return Rule(
        name="nesterov_buffer",
        title="Nesterov momentum (buffer)",
        defaults={"lr": lr, "momentum": momentum},
        tunable={"momentum": MEMORY},
        init=zeros("momentum_buffer"),
        update=_nesterov_buffer,
        source="Bengio et al. 2013, section 3.5",
    )


def _roll(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    v = hyper["momentum"] * state["velocity"] - hyper["lr"] * grad
    return param + v, {"velocity": v}


def _heavy_ball(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    first = state["step"] == 0
    fresh = torch.where(first, torch.ones_like(hyper["dampening"]), 1 - hyper["dampening"])
    b = hyper["momentum"] * state["momentum_buffer"] + fresh * grad
    return param - hyper["lr"] * b, {"momentum_buffer": b, "step": state["step"] + 1}


def _nesterov_buffer(
    param: Tensor, grad: Tensor, state: State, hyper: Hyper
) -> tuple[Tensor, State]:
    b = hyper["momentum"] * state["momentum_buffer"] + grad
    return param - hyper["lr"] * (grad + hyper["momentum"] * b), {"momentum_buffer": b}
