"""Sharpness-aware minimization, around any optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ravine.errors import InputError, ParameterError
from ravine.optim._checks import check_dense, check_number
from ravine.optim._ranges import FROM_ZERO

Group = dict[str, Any]


class SAM(torch.optim.Optimizer):
    r"""Step by the gradient that is found a little uphill, where sharp minima are high.

        e = ρ g / (‖g‖ + 10⁻¹²)                 ‖g‖ over all parameters
        e = ρ θ²⊙g / (‖|θ|⊙g‖ + 10⁻¹²)          if adaptive
        g ← ∇J(θ + e)                           θ - e in groups that maximize
        θ ← the base optimizer's step with this gradient, from θ

    Every step takes two gradients, so `step` needs a closure. Layers that count what they see (the
    running statistics of batch norm) see both. Groups, state and checkpoints are those of the base
    optimizer, and schedulers may be given either of the two; ρ is in no checkpoint.

    Args:
        base_optimizer: any optimizer, of ravine or of torch.
        rho: ρ, how far uphill, in the norm of all parameters.
        adaptive: measure the distance in parts of each weight, so that scaling them does not matter;
            the paper's ρ is ten times as large then.

    Raises:
        ParameterError: what came first is no optimizer.
        SettingError: ρ is negative or not finite.

    Source: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization",
        ICLR 2021, algorithm 1; adaptive: Kwon et al., "ASAM", ICML 2021, algorithm 1 with η = 0.
    """

    def __init__(
        self, base_optimizer: torch.optim.Optimizer, rho: float = 0.05, adaptive: bool = False
    ) -> None:
        if not isinstance(base_optimizer, torch.optim.Optimizer):
            raise ParameterError(
                f"SAM goes around an optimizer, and {type(base_optimizer).__name__} came: write "
                "SAM(SGD(model.parameters(), lr=0.1))."
            )
        check_number("rho", rho, FROM_ZERO)
        # Not torch's constructor, which would make groups and a state beside the base's.
        self.__setstate__({"base": base_optimizer, "rho": rho, "adaptive": adaptive})

    @property
    def param_groups(self) -> list[Group]:  # type: ignore[override]
        """The base optimizer's."""
        return self.base.param_groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The base optimizer's."""
        return self.base.state

    @property
    def defaults(self) -> Group:  # type: ignore[override]
        """The base optimizer's."""
        return self.base.defaults

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: clears the gradients, computes the loss, backpropagates and returns the loss. It
                is called twice.

        Returns:
            What the closure returned the first time, at the parameters themselves.

        Raises:
            InputError: there is no closure.
            ParameterError: a gradient is sparse. No parameter has been changed then.
        """
        if closure is None:
            raise InputError(
                "SAM.step() came without a closure, and SAM takes two gradients a step: write a "
                "function that calls optimizer.zero_grad(), computes the loss, calls "
                "loss.backward() and returns the loss, and pass it, optimizer.step(closure)."
            )
        with torch.enable_grad():
            loss = closure()
        moving = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        check_dense([param.grad for param in moving])
        kept = [param.detach().clone() for param in moving]
        try:
            self._climb(moving)
            with torch.enable_grad():
                closure()
        finally:
            _put_back(moving, kept)
        self.base.step()
        return loss

    def eval(self) -> None:
        """Put the weights to evaluate into the parameters, if the base optimizer has such."""
        if hasattr(self.base, "eval"):
            self.base.eval()

    def train(self) -> None:
        """Put the point to take gradients at back into the parameters."""
        if hasattr(self.base, "train"):
            self.base.train()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As the base optimizer does."""
        self.base.zero_grad(set_to_none)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group to the base optimizer."""
        self.base.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """The base optimizer's."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a checkpoint of the base optimizer's class, with SAM or without."""
        self.base.load_state_dict(state_dict)

    @torch.no_grad()
    def _climb(self, params: Sequence[Tensor]) -> None:
        """Move the parameters to θ + e."""
        norms = [torch.linalg.vector_norm(self._scaled(param, 1)) for param in params]
        if not norms:
            return
        norm = torch.linalg.vector_norm(torch.stack([n.to(norms[0].device) for n in norms]))
        falling = {id(p) for g in self.param_groups if g.get("maximize") for p in g["params"]}
        for param in params:
            rho = -self.rho if id(param) in falling else self.rho
            scale = rho / (norm.to(param.device) + 1e-12)
            param.add_((self._scaled(param, 2) * scale).to(param.dtype))

    def _scaled(self, param: Tensor, power: int) -> Tensor:
        """g, or |θ|ᵏ⊙g if adaptive; at least float32."""
        assert param.grad is not None
        wide = torch.promote_types(param.grad.dtype, torch.float32)
        grad = param.grad.to(wide)
        return param.abs() ** power * grad if self.adaptive else grad

    def __repr__(self) -> str:
        return f"SAM(rho={self.rho}, adaptive={self.adaptive}) around {self.base!r}"

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base, "rho": self.rho, "adaptive": self.adaptive}

    base: torch.optim.Optimizer
    rho: float
    adaptive: bool


@torch.no_grad()
def _put_back(params: Sequence[Tensor], kept: Sequence[Tensor]) -> None:
    """The weights of before, bit by bit: θ + e - e would be off by a rounding."""
    for param, before in zip(params, kept, strict=True):
        param.copy_(before)
