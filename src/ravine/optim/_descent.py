"""Gradient descent of torch.optim's names: SGD, ASGD and Rprop."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.errors import SettingError
from ravine.optim._base import Group, RuleOptimizer
from ravine.optim._composing import composed, l2_of
from ravine.rules import Rule, State


class SGD(RuleOptimizer):
    """Gradient descent, with momentum or Nesterov momentum in torch's buffer form.

    Arguments and checkpoints are those of `torch.optim.SGD`; a state also counts steps, which
    torch ignores. The notes' velocity forms are `Momentum` and `Nesterov`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise SettingError(
                f"nesterov=True came with momentum={momentum} and dampening={dampening}; "
                "it needs a momentum above 0, such as 0.9, and dampening=0."
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        if group["momentum"] == 0:
            return composed(rules.sgd, l2_of(group))
        form = rules.nesterov_buffer if group["nesterov"] else rules.heavy_ball
        return composed(form, l2_of(group))

    def _adopt(self, entries: State) -> State:
        if entries.get("momentum_buffer") is None:
            return {}
        # torch counts no steps; with a buffer, the first one is past
        return {"step": torch.ones((), dtype=torch.float32), **entries}


class ASGD(RuleOptimizer):
    """Averaged stochastic gradient descent.

    Arguments and checkpoints are those of `torch.optim.ASGD`. `eval()` puts the average, torch's
    state entry ax, into the model, and `train()` puts the parameters back.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        *,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.asgd, l2_of(group))


class Rprop(RuleOptimizer):
    """Rprop, for full batches. Arguments and checkpoints are those of `torch.optim.Rprop`."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.rprop)
