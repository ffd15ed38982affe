"""Weight decay for any rule: inside the gradient (L2) or beside it (decoupled)."""

from __future__ import annotations

from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import Hyper, Rule, State
from ravine.rules._parts import shrink
from ravine.rules._tuning import DECOUPLED
from ravine.transforms._transform import Inputs, Transform, on_gradient, wrap


def l2(weight_decay: float = 1e-4) -> Transform:
    r"""Add the gradient of the L2 penalty λ/2 ‖θ‖² to the gradient.

        g ← g + λ θ

    The penalty is part of the cost, so its gradient is taken where the cost's is: at the probe.

    Args:
        weight_decay: λ.

    Returns:
        A transform for any rule without weight decay.

    Source: Krogh & Hertz, "A Simple Weight Decay Can Improve Generalization", NIPS 1991.
    """

    def transform(rule: Rule) -> Rule:
        def penalized(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
            return grad + hyper["weight_decay"] * rule.probe(param, state, hyper)

        return on_gradient(
            rule,
            penalized,
            title=f"{rule.title} with L2 decay",
            source="Krogh & Hertz 1991",
            settings=_weight_decay(rule, weight_decay),
        )

    return transform


def decoupled(weight_decay: float = 1e-2) -> Transform:
    r"""Shrink the parameter before the step; the rule's averages never see the decay.

        θ ← θ - ε λ θ

    Args:
        weight_decay: λ, multiplied by the step size ε as torch's AdamW does.

    Returns:
        A transform for any rule without weight decay.

    Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def transform(rule: Rule) -> Rule:
        return wrap(
            rule,
            _shrunk,
            title=f"{rule.title} with decoupled decay",
            source="Loshchilov & Hutter 2019",
            settings=_weight_decay(rule, weight_decay),
            tunable={**rule.tunable, "weight_decay": DECOUPLED},
        )

    return transform


def _shrunk(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Inputs:
    return shrink(param, hyper), grad, state, hyper


def _weight_decay(rule: Rule, weight_decay: float) -> dict[str, float]:
    if "weight_decay" in rule.defaults:
        raise SettingError(
            f"the rule {rule.title} already has a weight decay; two of them would share one "
            "setting: wrap a rule without, such as adam() instead of adamw()."
        )
    return {"weight_decay": weight_decay}
