"""Sign descent: every element moves by the same length (Bernstein et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from ravine.rules._parts import average, no_state, zeros
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import MEMORY


def sign_sgd(lr: float = 1e-4) -> Rule:
    r"""signSGD.

        θ ← θ - ε sign(g)

    Args:
        lr: ε, by which every element moves at every step; of the size of Adam's, not of SGD's.

    State: none.
    Source: Bernstein et al., "signSGD: Compressed Optimisation for Non-Convex Problems", ICML 2018,
        algorithm 1.
    """
    return Rule(
        name="sign_sgd",
        title="signSGD",
        defaults={"lr": lr},
        init=no_state,
        update=_sign_sgd,
        source="Bernstein et al. 2018, algorithm 1",
    )


def signum(lr: float = 1e-4, momentum: float = 0.9) -> Rule:
    r"""Signum: signSGD with momentum.

        m ← β m + (1-β) g
        θ ← θ - ε sign(m)

    Args:
        lr: ε, by which every element moves at every step; 1e-4 as in the authors' ImageNet runs.
        momentum: β, how much of the average is kept.

    State: exp_avg (m), shaped like the parameter.
    Source: Bernstein et al., "signSGD: Compressed Optimisation for Non-Convex Problems", ICML 2018,
        algorithm 2.
    """
    return Rule(
        name="signum",
        title="Signum",
        defaults={"lr": lr, "momentum": momentum},
        tunable={"momentum": MEMORY},
        init=zeros("exp_avg"),
        update=_signum,
        source="Bernstein et al. 2018, algorithm 2",
    )


def _sign_sgd(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    return param - hyper["lr"] * grad.sign(), {}


def _signum(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    m = average(state["exp_avg"], grad, hyper["momentum"])
    return param - hyper["lr"] * m.sign(), {"exp_avg": m}
