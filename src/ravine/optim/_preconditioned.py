"""A preconditioner for every axis."""

from __future__ import annotations

from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.optim._base import Group, RuleOptimizer
from ravine.optim._composing import composed, decoupled_of
from ravine.rules import Rule


class Shampoo(RuleOptimizer):
    """Shampoo: a preconditioner for every axis (Gupta, Koren & Singer 2018).

    The decay is decoupled, as in Meta's DistributedShampoo; the paper has none.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.1,
        eps: float = 1e-4,
        update_every: int = 1,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "eps": eps,
            "update_every": update_every,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        choices = {name: group[name] for name in ("eps", "update_every")}
        return composed(rules.shampoo, decoupled_of(group), **choices)


class SOAP(RuleOptimizer):
    """SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2025).

    Defaults as in the authors' code; the decay is decoupled and comes before the step.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        precondition_frequency: int = 10,
        max_precond_dim: int = 10000,
        precondition_1d: bool = False,
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
            "precondition_frequency": precondition_frequency,
            "max_precond_dim": max_precond_dim,
            "precondition_1d": precondition_1d,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        names = ("precondition_frequency", "max_precond_dim", "precondition_1d")
        choices = {name: group[name] for name in names}
        return composed(rules.soap, decoupled_of(group), **choices)
