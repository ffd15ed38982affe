"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules._axes import gram, multiply, wide
from ravine.rules._parts import average, zeros_and_step
from ravine.rules._rule import Hyper, Rule, State, Update
from ravine.rules._tuning import MOMENTS
from ravine.rules.adam import adam_direction


def soap(
    lr: float = 3e-3,
    beta1: float = 0.95,
    beta2: float = 0.95,
    eps: float = 1e-8,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10000,
    precondition_1d: bool = False,
) -> Rule:
    r"""ShampoO with Adam in the Preconditioner's eigenbasis. For a matrix:

        G' = Qᴸᵀ G Qᴿ                  into the eigenbases
        N' = ŝ / (√r̂ + δ)              Adam's direction for G'; s and r stay in the eigenbases
        θ ← θ - ε Qᴸ N' Qᴿᵀ
        L ← ρ₂ L + (1-ρ₂) G Gᵀ         R ← ρ₂ R + (1-ρ₂) Gᵀ G

    and after every precondition_frequency-th step of Adam, one power iteration for each axis:

        Q' = qr(L Q), its columns first sorted by qᵀ L q, downwards
        s ← Q'ᵀ Q s                    r: reordered like the columns of Q

    The very first step sets L and R up, takes their eigenvectors by eigh, and leaves θ and Adam's
    moments alone, so that no gradient meets a basis that was made from it. More than two axes have
    one basis each. The bases are unique up to the signs of their columns; these cancel in θ.

    The official code also decays by 0.01, after the step; `ravine.transforms.decoupled(0.01)(soap())`
    does so before it, which differs by ε²λN, and at the first step, too. That code adds δ before the
    bias of r is corrected; here δ stands where Adam's box has it.

    Args:
        lr: ε, step size. beta1: ρ₁, decay of the first moment. beta2: ρ₂, of the second moment and
            of L and R. eps: δ, added outside the root.
        precondition_frequency: steps from one power iteration to the next.
        max_precond_dim: an axis longer than this keeps its own basis.
        precondition_1d: whether vectors get a basis; without, theirs is plain Adam.

    State: exp_avg (s) and exp_avg_sq (r), shaped like the parameter; preconditioner_i (L, R, ...)
        and basis_i (Q), [n, n] for the i-th axis of n; all in at least float32. step, 0-D: the steps
        taken, one more than Adam's t.
    Errors: SettingError for a precondition_frequency below 1.
    Source: Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", ICLR 2025, algorithm
        3, and the authors' code for the first step and the reordering.
    """
    if precondition_frequency < 1:
        raise SettingError(
            f"precondition_frequency={precondition_frequency!r} is no number of steps: pass 1 to "
            "renew the bases at every step, or more; 10 is the default."
        )

    def init(param: Tensor) -> State:
        state = zeros_and_step("exp_avg", "exp_avg_sq")(param.to(wide(param.dtype)))
        for axis, n in enumerate(param.shape):
            if n <= max_precond_dim and (param.ndim > 1 or precondition_1d):
                state[f"preconditioner_{axis}"] = state["exp_avg"].new_zeros(n, n)
                state[f"basis_{axis}"] = state["exp_avg"].new_zeros(n, n)
        return state

    def choose(state: State) -> Update:
        t = int(state["step"])  # Adam's count after this step
        if t == 0:
            return _first
        return _renewing if t % precondition_frequency == 0 else _keeping

    return Rule(
        name="soap",
        title="SOAP",
        defaults={"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps},
        tunable=MOMENTS,
        init=init,
        update=_keeping,
        granularity="matrix",
        choose=choose,
        source="Vyas et al. 2025, algorithm 3",
    )


def _first(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The first step: preconditioners and their eigenvectors, the largest eigenvalue's first."""
    new = _accumulated(grad, state, hyper)
    for i in _axes(state):
        _, vectors = torch.linalg.eigh(new[f"preconditioner_{i}"])
        new[f"basis_{i}"] = vectors.flip(1)
    moments = {name: state[name].clone() for name in ("exp_avg", "exp_avg_sq")}
    return param.clone(), {**new, **moments, "step": state["step"] + 1}


def _keeping(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """Adam's step in the bases of the state, which are kept."""
    moments = {**state, "step": state["step"] - 1}
    inside = _into_bases(grad.to(state["exp_avg"].dtype), state)
    direction, moments = adam_direction(inside, moments, hyper)
    param = param - hyper["lr"] * _out_of_bases(direction, state).to(param.dtype)
    bases = {f"basis_{i}": state[f"basis_{i}"].clone() for i in _axes(state)}
    new = {**moments, **bases, **_accumulated(grad, state, hyper), "step": state["step"] + 1}
    return param, new


def _renewing(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """Adam's step in the bases of the state, then one power iteration for the next ones."""
    param, old = _keeping(param, grad, state, hyper)
    new = dict(old)
    for i in _axes(state):
        L, Q = old[f"preconditioner_{i}"], old[f"basis_{i}"]
        order = (Q * (L @ Q)).sum(dim=0).argsort(descending=True, stable=True)
        new["exp_avg_sq"] = new["exp_avg_sq"].index_select(i, order)
        new[f"basis_{i}"], _ = torch.linalg.qr(L @ Q[:, order])
    new["exp_avg"] = _into_bases(_out_of_bases(old["exp_avg"], old), new)
    return param, new


def _axes(state: State) -> list[int]:
    """The axes that have a basis."""
    return [i for i in range(state["exp_avg"].ndim) if f"basis_{i}" in state]


def _accumulated(grad: Tensor, state: State, hyper: Hyper) -> State:
    """The preconditioners with this gradient in them."""
    G = grad.to(state["exp_avg"].dtype)
    names = {i: f"preconditioner_{i}" for i in _axes(state)}
    return {name: average(state[name], gram(G, i), hyper["beta2"]) for i, name in names.items()}


def _into_bases(x: Tensor, state: State) -> Tensor:
    for i in _axes(state):
        x = multiply(state[f"basis_{i}"].T, x, i)
    return x


def _out_of_bases(x: Tensor, state: State) -> Tensor:
    for i in _axes(state):
        x = multiply(state[f"basis_{i}"], x, i)
    return x
