"""Shampoo: a preconditioner for every axis (Gupta, Koren & Singer 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules._axes import gram, multiply, wide
from ravine.rules._parts import zeros_and_step
from ravine.rules._rule import Hyper, Rule, State, Update


def shampoo(lr: float = 0.1, eps: float = 1e-4, update_every: int = 1) -> Rule:
    r"""Shampoo. For a matrix:

        L ← L + G Gᵀ                   R ← R + Gᵀ G
        θ ← θ - ε L^(-1/4) G R^(-1/4)

    For any k axes: Hᵢ ← Hᵢ + the Gram matrix of the i-th unfolding, and G is multiplied along every
    axis by Hᵢ^(-1/2k). A vector has one axis: full-matrix AdaGrad. An axis of n costs n² memory
    and n³ time for its root.

    Args:
        lr: ε, step size. The paper gives no default; 0.1 is that of the common implementations.
        eps: δ, Hᵢ = δI before the first step; a choice of the constructor, no hyperparameter.
        update_every: the roots are renewed at the first step and every so many steps, the sums at
            every step. 1, the common implementations' default, is the paper's box; its experiments
            renew every 20 to 100 steps.

    State: preconditioner_i (Hᵢ) and root_i (Hᵢ^(-1/2k)), [n, n] for the i-th axis of n, in at least
        float32; step, 0-D.
    Errors: SettingError for an eps that is not above 0 or an update_every below 1.
    Source: Gupta, Koren & Singer, "Shampoo: Preconditioned Stochastic Tensor Optimization",
        ICML 2018, algorithms 1 and 2.
    """
    if not eps > 0:
        raise SettingError(f"eps={eps!r} leaves the first roots infinite: pass one above 0, 1e-4.")
    if update_every < 1:
        raise SettingError(
            f"update_every={update_every!r} is no number of steps: pass 1 to renew the roots at "
            "every step, or more."
        )
    renewing, keeping = _step(True, eps), _step(False, eps)

    def choose(state: State) -> Update:
        return renewing if int(state["step"]) % update_every == 0 else keeping

    return Rule(
        name="shampoo",
        title="Shampoo",
        defaults={"lr": lr},
        init=lambda param: _init(param, eps),
        update=renewing,
        granularity="matrix",
        choose=None if update_every == 1 else choose,
        source="Gupta, Koren & Singer 2018, algorithms 1 and 2",
    )


def _init(param: Tensor, eps: float) -> State:
    state = zeros_and_step()(param)
    for axis, n in enumerate(param.shape):
        identity = torch.eye(n, dtype=wide(param.dtype), device=param.device)
        state[f"preconditioner_{axis}"] = eps * identity
        state[f"root_{axis}"] = identity
    return state


def _step(renew: bool, eps: float) -> Update:
    """The update of a step that renews the roots, or of one that keeps them."""

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        G = grad.to(wide(grad.dtype))
        direction, new = G, {"step": state["step"] + 1}
        for axis in range(param.ndim):
            H = state[f"preconditioner_{axis}"] + gram(G, axis)
            root = _inverse_root(H, 2 * param.ndim, eps) if renew else state[f"root_{axis}"].clone()
            direction = multiply(root, direction, axis)
            new |= {f"preconditioner_{axis}": H, f"root_{axis}": root}
        return param - hyper["lr"] * direction.to(param.dtype), new

    return update


def _inverse_root(H: Tensor, order: int, eps: float) -> Tensor:
    """H^(-1/order). No eigenvalue of H = δI + ... is below δ, except by rounding."""
    values, vectors = torch.linalg.eigh(H)
    return torch.mm(vectors * values.clamp(min=eps) ** (-1 / order), vectors.T)
