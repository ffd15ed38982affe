"""The classes that torch.optim has too: same names, signatures and checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.engines.eager import complete
from ravine.errors import SettingError
from ravine.optim._base import Group, RuleOptimizer
from ravine.optim._composing import composed, decay_of, l2_of
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


class Adagrad(RuleOptimizer):
    """AdaGrad. Arguments and checkpoints are those of `torch.optim.Adagrad`."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)
        for index, group in enumerate(self.param_groups):
            rule = self._unit(index, group).rule
            for param in group["params"]:  # as torch does, so that share_memory() finds the sums
                complete(rule, param, self.state)

    def _rule(self, group: Group) -> Rule:
        start = float(group["initial_accumulator_value"])
        return composed(rules.adagrad, l2_of(group), initial_accumulator_value=start)

    def share_memory(self) -> None:
        """Move the sums of squared gradients to memory that processes share, and keep them there."""
        self._release()
        self.engine = "eager"
        for state in self.state.values():
            state["sum"].share_memory_()


class RMSprop(RuleOptimizer):
    """RMSProp with δ outside the root, optionally centered or with momentum.

    Arguments and checkpoints are those of `torch.optim.RMSprop`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        *,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        form = rules.rmsprop if group["momentum"] == 0 else rules.rmsprop_momentum
        return composed(form, l2_of(group), counted=True, centered=group["centered"])


class Adadelta(RuleOptimizer):
    """Adadelta. Arguments and checkpoints are those of `torch.optim.Adadelta`."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.adadelta, l2_of(group), counted=True)


class Adam(RuleOptimizer):
    """Adam or AMSGrad. Arguments and checkpoints are those of `torch.optim.Adam`."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": (float(betas[0]), float(betas[1])),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.amsgrad if group["amsgrad"] else rules.adam, decay_of(group))


class AdamW(Adam):
    """Adam with decoupled weight decay.

    Arguments and checkpoints are those of `torch.optim.AdamW`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
            engine=engine,
            rounding=rounding,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # whatever class wrote the checkpoint
            group["decoupled_weight_decay"] = True


class NAdam(RuleOptimizer):
    """Adam with Nesterov momentum.

    Arguments and checkpoints are those of `torch.optim.NAdam`. For float64 parameters the product
    of momentum coefficients is float64 too, where torch's default is float32.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        return composed(rules.nadam, decay_of(group))
