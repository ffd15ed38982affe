"""Delta-bar-delta: a learning rate for every element, by the signs of its slope (Jacobs 1988)."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.rules._parts import average, zeros
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import Span


def delta_bar_delta(
    lr: float = 1e-3, kappa: float = 0.05, phi: float = 0.05, theta: float = 0.7
) -> Rule:
    r"""Delta-bar-delta, for full batches only: minibatch noise flips the signs it reads.

        c ← c + κ                      where δ̄⊙g > 0: the slope kept its sign
        c ← (1-φ) c                    where δ̄⊙g < 0: it changed its sign
        δ̄ ← ϑ δ̄ + (1-ϑ) g
        θ ← θ - ε c⊙g

    Rates grow slowly (by addition) and shrink fast (by a factor).

    Args:
        lr: ε, every element's learning rate before the first step. The state holds gains c, which
            start at 1, and not the rates εc themselves, so that a schedule can still change ε.
        kappa: κ, what a gain grows by: the rate grows by κε, so Jacobs's κ is κε here.
        phi: φ, the part of a gain, as of a rate, that a change of sign takes away.
        theta: ϑ, how much of the averaged slope δ̄ is kept.

    State: gain (c) and delta_bar (δ̄), shaped like the parameter.
    Source: Jacobs, "Increased Rates of Convergence Through Learning Rate Adaptation", Neural
        Networks 1, 1988, with ϑ = 0.7; κ and φ as Hinton's lectures have them for gains
        ("Neural Networks for Machine Learning", lecture 6d).
    """
    return Rule(
        name="delta_bar_delta",
        title="Delta-bar-delta",
        defaults={"lr": lr, "kappa": kappa, "phi": phi, "theta": theta},
        tunable={
            "kappa": Span(5e-3, 0.5, "log", "a decade to both sides of Hinton's"),
            "phi": Span(5e-3, 0.5, "log", "a decade to both sides of Hinton's"),
            "theta": Span(
                0.4, 0.97, "complement", "a memory half a decade to both sides of Jacobs's"
            ),
        },
        init=_init,
        update=_update,
        source="Jacobs 1988, delta-bar-delta rule",
    )


def _init(param: Tensor) -> State:
    return {**zeros("delta_bar")(param), "gain": torch.ones_like(param)}


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    gain, agreement = state["gain"], state["delta_bar"] * grad
    grown = torch.where(agreement > 0, gain + hyper["kappa"], gain)
    gain = torch.where(agreement < 0, (1 - hyper["phi"]) * gain, grown)
    delta_bar = average(state["delta_bar"], grad, hyper["theta"])
    return param - hyper["lr"] * gain * grad, {"gain": gain, "delta_bar": delta_bar}
