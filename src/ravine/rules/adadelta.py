"""Adadelta: steps in the parameter's own units (Zeiler 2012)."""

from __future__ import annotations

from torch import Tensor

from ravine.rules._parts import average, root_of_sum, zeros
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import Span


def adadelta(lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6) -> Rule:
    r"""Adadelta.

        r ← ρ r + (1-ρ) g⊙g
        Δ = √(u + δ) / √(r + δ) ⊙ g
        u ← ρ u + (1-ρ) Δ⊙Δ
        θ ← θ - ε Δ

    Args:
        lr: ε, 1 in the paper. Keras's default is 1e-3, far too small for most tasks.
        rho: ρ, decay rate of both averages. Keras's default is 0.95.
        eps: δ, inside both roots; it also sets the size of the first steps. Keras's is 1e-7.

    State: square_avg (r) and acc_delta (u), shaped like the parameter.
    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, algorithm 1.
    """
    return Rule(
        name="adadelta",
        title="Adadelta",
        defaults={"lr": lr, "rho": rho, "eps": eps},
        tunable={
            "rho": Span(0.9, 0.99, "complement", "Zeiler 2012, table 2"),
            "eps": Span(1e-8, 1e-2, "log", "Zeiler 2012, table 2"),
        },
        init=zeros("square_avg", "acc_delta"),
        update=_update,
        source="Zeiler 2012, algorithm 1",
    )


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    r = average(state["square_avg"], grad * grad, hyper["rho"])
    u = state["acc_delta"]
    delta = root_of_sum(u, hyper["eps"]) / root_of_sum(r, hyper["eps"]) * grad
    u = average(u, delta * delta, hyper["rho"])
    return param - hyper["lr"] * delta, {"square_avg": r, "acc_delta": u}
