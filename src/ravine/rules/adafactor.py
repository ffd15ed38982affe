"""Adafactor: a second moment kept as a row and a column (Shazeer & Stern 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ravine.rules._parts import average, shrink, zeros_and_step
from ravine.rules._rule import Hyper, Rule, State


def adafactor(
    lr: float = 1e-2,
    beta2_decay: float = -0.8,
    eps1: float | None = None,
    eps2: float = 1e-3,
    d: float = 1.0,
    weight_decay: float = 0.0,
) -> Rule:
    r"""Adafactor, as torch has it.

        R ← (1-tᵝ) R + tᵝ mean of g⊙g over columns
        C ← (1-tᵝ) C + tᵝ mean of g⊙g over rows
        V = R C / max(mean of R, δ₁)                  of a vector: V ← (1-tᵝ) V + tᵝ g⊙g
        u = g / √max(V, δ₁²)
        α = max(δ₂, rms θ) min(ε, 1/√t)
        θ ← θ - ελθ - α u / max(1, rms u / d)

    Rows and columns are the last two axes; axes before them are so many matrices, each with its own
    R and C, while rms is taken over the whole parameter. Its scale in α is that before the decay:
    this differs from `ravine.transforms.decoupled`, so the decay stands inside the rule.

    Args:
        lr: ε, largest relative step size. beta2_decay: β, the exponent of t above, below 0.
        eps1: δ₁, keeps denominators from zero; None is the machine epsilon of the parameter's dtype,
            and is no hyperparameter then. The paper adds 1e-30 to g⊙g instead.
        eps2: δ₂, smallest scale a parameter is taken to have.
        d: largest rms of the direction u. weight_decay: λ, decoupled.

    State: of a parameter of two axes or more, [..., m, n]: row_var (R) [..., m, 1] and
        col_var (C) [..., 1, n]; of a vector: variance (V), of its shape. step (t), 0-D.
    Source: Shazeer & Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost",
        ICML 2018, algorithms 4 and 5; δ₁ placed as in torch.optim.Adafactor.
    """
    return Rule(
        name="adafactor",
        title="Adafactor",
        defaults={
            "lr": lr,
            "beta2_decay": beta2_decay,
            **({} if eps1 is None else {"eps1": eps1}),
            "eps2": eps2,
            "d": d,
            "weight_decay": weight_decay,
        },
        init=_init,
        update=_update,
        granularity="matrix",
        source="Shazeer & Stern 2018, algorithms 4 and 5",
    )


def _init(param: Tensor) -> State:
    if param.ndim < 2:
        return zeros_and_step("variance")(param)
    *matrices, m, n = param.shape
    rows, columns = param.new_zeros(*matrices, m, 1), param.new_zeros(*matrices, 1, n)
    return {"row_var": rows, "col_var": columns, **zeros_and_step()(param)}


def _update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    step = state["step"] + 1
    t = step.to(torch.promote_types(step.dtype, hyper["lr"].dtype))  # float32 roots err by 1e-7
    eps1 = hyper.get("eps1", torch.full_like(t, torch.finfo(param.dtype).eps))
    kept = 1 - t ** hyper["beta2_decay"]
    variance, moments = (_full if param.ndim < 2 else _factored)(grad, state, kept, eps1)
    u = torch.maximum(variance, eps1 * eps1).rsqrt() * grad
    alpha = torch.maximum(hyper["eps2"], _rms(param)) * torch.minimum(hyper["lr"], t**-0.5)
    param = shrink(param, hyper) - alpha / (_rms(u) / hyper["d"]).clamp(min=1) * u
    return param, {**moments, "step": step}


def _full(grad: Tensor, state: State, kept: Tensor, eps1: Tensor) -> tuple[Tensor, State]:
    """The second moment of a vector, and what to remember of it."""
    variance = average(state["variance"], grad * grad, kept)
    return variance, {"variance": variance}


def _factored(grad: Tensor, state: State, kept: Tensor, eps1: Tensor) -> tuple[Tensor, State]:
    """The second moment of a matrix, from its rows' and columns' means, and these."""
    squares = grad * grad
    rows = average(state["row_var"], squares.mean(dim=-1, keepdim=True), kept)
    columns = average(state["col_var"], squares.mean(dim=-2, keepdim=True), kept)
    variance = rows * columns / torch.maximum(rows.mean(dim=-2, keepdim=True), eps1)
    return variance, {"row_var": rows, "col_var": columns}


def _rms(x: Tensor) -> Tensor:
    """Root of the mean square of all elements, 0-D."""
    norm: Tensor = torch.linalg.vector_norm(x)
    return norm / math.sqrt(x.numel())
