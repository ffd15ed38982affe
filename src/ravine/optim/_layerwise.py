"""Steps as long as a part of each parameter's norm."""

from __future__ import annotations

from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.optim._base import Group, RuleOptimizer
from ravine.optim._composing import composed
from ravine.rules import Rule


class LARS(RuleOptimizer):
    """LARS: momentum, each step a part of the parameter's norm (You et al. 2017, algorithm 1)."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        trust_coefficient: float = 1e-3,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.lars)


class LAMB(RuleOptimizer):
    """LAMB: Adam, each step scaled to the parameter's norm (You et al. 2020, algorithm 2)."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.lamb)
