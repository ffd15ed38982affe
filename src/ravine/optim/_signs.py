"""Steps that go by the signs of slopes."""

from __future__ import annotations

from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.optim._base import Group, RuleOptimizer
from ravine.optim._composing import composed, decoupled_of, l2_of
from ravine.rules import Rule


class DeltaBarDelta(RuleOptimizer):
    """Delta-bar-delta, for full batches: a learning rate for every element (Jacobs 1988)."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        kappa: float = 0.05,
        phi: float = 0.05,
        theta: float = 0.7,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "kappa": kappa,
            "phi": phi,
            "theta": theta,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.delta_bar_delta, l2_of(group))


class Lion(RuleOptimizer):
    """Lion, with decoupled weight decay (Chen et al. 2023, algorithm 2)."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.lion, decoupled_of(group))


class SignSGD(RuleOptimizer):
    """signSGD, with decoupled weight decay (Bernstein et al. 2018, algorithm 1)."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.sign_sgd, decoupled_of(group))


class Signum(RuleOptimizer):
    """Signum, with decoupled weight decay (Bernstein et al. 2018, algorithm 2)."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
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
        return composed(rules.signum, decoupled_of(group))
