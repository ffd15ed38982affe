"""Step sizes by past gradients, of torch.optim's names: Adagrad, RMSprop, Adadelta, Adafactor."""

from __future__ import annotations

from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.engines.eager import complete
from ravine.optim._base import Group, RuleOptimizer
from ravine.optim._composing import composed, l2_of
from ravine.rules import Rule


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


class Adafactor(RuleOptimizer):
    """Adafactor. Arguments and checkpoints are those of `torch.optim.Adafactor`."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        engine: str = "auto",
        rounding: str = "nearest",
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults, engine=engine, rounding=rounding)

    def _rule(self, group: Group) -> Rule:
        eps1, _ = group["eps"]
        return composed(rules.adafactor, eps1=eps1)
