"""AdaGrad: a step size per parameter element (Duchi, Hazan & Singer 2011)."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.rules._parts import root_plus, zeros_and_step
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import FLOOR


def adagrad(
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> Rule:
    r"""AdaGrad.

        r ← r + g⊙g
        θ ← θ - ε g / ((1 + (t-1) η) (√r + δ))

    Args:
        lr: ε, step size. Keras's default is 1e-3, torch's 1e-2.
        lr_decay: η, torch's extra decay of the step size; 0 is the paper's rule.
        initial_accumulator_value: r before the first step. Keras's default is 0.1.
        eps: δ, added outside the root. The notes take 1e-7; Keras adds 1e-7 inside the root.

    State: sum (r), shaped like the parameter; step (t), 0-D.
    Source: Duchi et al., "Adaptive Subgradient Methods", JMLR 2011, figure 1, diagonal case.
    """

    def init(param: Tensor) -> State:
        full = torch.full_like(param, initial_accumulator_value)
        return {"sum": full, **zeros_and_step()(param)}

    return Rule(
        name="adagrad",
        title="AdaGrad",
        defaults={"lr": lr, "lr_decay": lr_decay, "eps": eps},
        tunable={"eps": FLOOR},
        init=init,
        update=_update,
        source="Duchi, Hazan & Singer 2011, figure 1",
    )


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    r = state["sum"] + grad * grad
    lr = hyper["lr"] / (1 + state["step"] * hyper["lr_decay"])
    param = param - lr * grad / root_plus(r, hyper["eps"])
    return param, {"sum": r, "step": state["step"] + 1}
