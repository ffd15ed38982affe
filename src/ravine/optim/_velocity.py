"""The papers' velocity forms of momentum, with a true look-ahead."""

from __future__ import annotations

from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.optim._base import Group, RuleOptimizer
from ravine.optim._composing import composed, l2_of
from ravine.rules import Rule


class Momentum(RuleOptimizer):
    """SGD with momentum, v ← αv - εg, θ ← θ + v: a new lr leaves the velocity as it is."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.momentum, l2_of(group))


class Nesterov(RuleOptimizer):
    """SGD with Nesterov momentum: the gradient is taken at θ + αv, which the model then holds.

    `eval()` puts θ into the model, `train()` puts θ + αv back. θ itself lives in the state, so
    after loading other weights into the model build a new optimizer.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.nesterov, l2_of(group))


class RMSpropNesterov(RuleOptimizer):
    """RMSProp with Nesterov momentum: the gradient is taken at θ + αv, which the model then holds.

    `eval()` puts θ into the model, `train()` puts θ + αv back. θ itself lives in the state, so
    after loading other weights into the model build a new optimizer.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.9,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.rmsprop_nesterov, l2_of(group))
