"""Muon as in torch.optim, and Muon for whole models."""

from __future__ import annotations

from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.errors import ParameterError
from ravine.optim._base import Group, RuleOptimizer
from ravine.optim._composing import composed, decoupled_of
from ravine.rules import Rule
from ravine.rules.muon import JORDAN


class Muon(RuleOptimizer):
    """Muon, for matrices alone. Arguments and checkpoints are those of `torch.optim.Muon`.

    `MuonAdamW` takes whole models, and `ravine.groups` routes parameters by name.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = JORDAN,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(
            rules.muon,
            decoupled_of(group),
            nesterov=group["nesterov"],
            ns_coefficients=tuple(group["ns_coefficients"]),
            ns_steps=group["ns_steps"],
            adjust_lr_fn=group["adjust_lr_fn"] or "original",
        )

    def _check(self, group: Group) -> None:
        for param in group["params"]:
            if param.ndim != 2:
                raise ParameterError(
                    f"Muon steps matrices, and a parameter of shape {list(param.shape)} came: use "
                    "MuonAdamW, which takes all parameters of a model, or route them by name, "
                    'ravine.groups(model, {"*.bias": "adamw", "*": "muon"}).'
                )
        super()._check(group)


class MuonAdamW(RuleOptimizer):
    """Muon for matrices and AdamW for vectors: all parameters of a model (Liu et al. 2025).

    Parameters of more than two axes are taken for matrices, [first axis, all others].
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        ns_steps: int = 5,
        *,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "ns_steps": ns_steps,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.muon_adamw, ns_steps=group["ns_steps"])
