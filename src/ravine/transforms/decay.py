"""Weight decay for any rule: inside the gradient (L2) or beside it (decoupled)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import Hyper, Rule, State
from ravine.rules._parts import shrink


def l2(rule: Rule, weight_decay: float = 1e-4) -> Rule:
    r"""Add the gradient of the L2 penalty λ/2 ‖θ‖² to the gradient.

        g ← g + λ θ

    The penalty is part of the cost, so its gradient is taken where the cost's is: at the probe.

    Args:
        rule: any rule without weight decay.
        weight_decay: λ.

    Source: Krogh & Hertz, "A Simple Weight Decay Can Improve Generalization", NIPS 1991.
    """

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        grad = grad + hyper["weight_decay"] * rule.probe(param, state, hyper)
        return rule.update(param, grad, state, hyper)

    return replace(
        rule,
        title=f"{rule.title} with L2 decay",
        defaults=_with_decay(rule, weight_decay),
        update=update,
    )


def decoupled(rule: Rule, weight_decay: float = 1e-2) -> Rule:
    r"""Shrink the parameter before the step; the rule's averages never see the decay.

        θ ← θ - ε λ θ

    Args:
        rule: any rule without weight decay.
        weight_decay: λ, multiplied by the step size ε as torch's AdamW does.

    Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        return rule.update(shrink(param, hyper), grad, state, hyper)

    return replace(
        rule,
        title=f"{rule.title} with decoupled decay",
        defaults=_with_decay(rule, weight_decay),
        update=update,
    )


def _with_decay(rule: Rule, weight_decay: float) -> dict[str, float]:
    if "weight_decay" in rule.defaults:
        raise SettingError(
            f"the rule {rule.title} already has a weight decay; two of them would share one "
            "setting: wrap a rule without, such as adam() instead of adamw()."
        )
    return {**rule.defaults, "weight_decay": weight_decay}
