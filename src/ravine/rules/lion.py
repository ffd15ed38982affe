"""Lion: the sign of an interpolated momentum, found by program search (Chen et al. 2023)."""

from __future__ import annotations

from torch import Tensor

from ravine.rules._parts import average, zeros
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import MEMORY


def lion(lr: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99) -> Rule:
    r"""Lion.

        θ ← θ - ε sign(ρ₁ m + (1-ρ₁) g)
        m ← ρ₂ m + (1-ρ₂) g

    The paper's weight decay stands outside: `ravine.chain(lion(), ravine.decoupled(weight_decay))`.
    It recommends 3-10 times AdamW's weight decay, and a third to a tenth of its step size.

    Args:
        lr: ε, by which every element moves at every step.
        beta1: ρ₁, how much of the momentum enters the step. beta2: ρ₂, how much of it is kept.

    State: exp_avg (m), shaped like the parameter.
    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, algorithm 2.
    """
    return Rule(
        name="lion",
        title="Lion",
        defaults={"lr": lr, "beta1": beta1, "beta2": beta2},
        tunable={"beta1": MEMORY, "beta2": MEMORY},
        init=zeros("exp_avg"),
        update=_update,
        source="Chen et al. 2023, algorithm 2",
    )


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    direction = average(state["exp_avg"], grad, hyper["beta1"]).sign()
    m = average(state["exp_avg"], grad, hyper["beta2"])
    return param - hyper["lr"] * direction, {"exp_avg": m}
