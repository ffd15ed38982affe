"""Gradient descent: stochastic, minibatch or full batch, as the batches decide."""

from __future__ import annotations

from torch import Tensor

from ravine.rules._parts import no_state
from ravine.rules._rule import Hyper, Rule, State


def sgd(lr: float = 1e-3) -> Rule:
    r"""Stochastic gradient descent.

        θ ← θ - ε g

    Args:
        lr: ε, step size. Keras's default is 1e-2, torch's 1e-3.

    State: none.
    Source: Robbins & Monro, "A Stochastic Approximation Method", 1951; Goodfellow, Bengio &
        Courville, "Deep Learning", 2016, algorithm 8.1.
    """
    return Rule(
        name="sgd",
        title="SGD",
        defaults={"lr": lr},
        init=no_state,
        update=_update,
        source="Robbins & Monro 1951; Goodfellow et al. 2016, algorithm 8.1",
    )


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    return param - hyper["lr"] * grad, {}
