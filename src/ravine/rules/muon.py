"""Muon: momentum, orthogonalised (Jordan et al. 2024), and its use for whole models."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules._parts import average, shrink, zeros
from ravine.rules._rule import Hyper, Rule, State, Update
from ravine.rules._tuning import DECOUPLED, MEMORY, MOMENTS
from ravine.rules.adam import adam

AdjustLr = Literal["original", "match_rms_adamw"]
Coefficients = tuple[float, float, float]

JORDAN: Coefficients = (3.4445, -4.7750, 2.0315)
"""The quintic with the steepest start that still keeps singular values within about 0.7 to 1.2."""


def muon(
    lr: float = 1e-3,
    momentum: float = 0.95,
    eps: float = 1e-7,
    nesterov: bool = True,
    ns_coefficients: Coefficients = JORDAN,
    ns_steps: int = 5,
    adjust_lr_fn: AdjustLr = "original",
    precision: torch.dtype | None = torch.bfloat16,
) -> Rule:
    r"""Momentum orthogonalised by Newton and Schulz, for matrices.

        b ← μ b + (1-μ) g
        X = (1-μ) g + μ b              b itself without nesterov
        X ← X / max(‖X‖, δ)
        X ← a X + (b A + c A²) X       with A = X Xᵀ, ns_steps times
        θ ← θ - ε κ X                  κ = √max(1, rows/columns), or 0.2 √max(rows, columns)

    A parameter of more than two axes is the matrix [first axis, all others], as Jordan does it with
    convolutions. torch's class also decays by 0.1: `ravine.transforms.decoupled(0.1)(muon())`.

    Args:
        lr: ε, step size; Jordan's own default is 0.02, torch's 1e-3. momentum: μ.
        eps: δ, smallest norm to divide by. nesterov: whether X looks one average ahead.
        ns_coefficients: a, b, c. ns_steps: how often the quintic is applied.
        adjust_lr_fn: κ, "original" or "match_rms_adamw" (steps as large as AdamW's).
        precision: dtype of the quintic; torch's is bfloat16, the fastest on a GPU. None is the
            parameter's own. In bfloat16 a step is some 2 % off, and as much again where matrices are
            stacked, since their sums are rounded more often: then runs differ with the engine.

    State: momentum_buffer (b), shaped like the parameter.
    Errors: SettingError for a parameter with fewer than two axes, and for an unknown adjust_lr_fn.
    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024;
        torch.optim.Muon.
    """
    return Rule(
        name="muon_matrices",
        title="Muon",
        defaults={"lr": lr, "momentum": momentum, "eps": eps},
        tunable={"momentum": MEMORY},
        init=_init,
        update=_step(nesterov, ns_coefficients, ns_steps, _scale(adjust_lr_fn), precision),
        granularity="matrix",
        source="Jordan et al. 2024; torch.optim.Muon",
    )


def muon_adamw(
    lr: float = 1e-3,
    momentum: float = 0.95,
    beta1: float = 0.9,
    beta2: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.1,
    ns_steps: int = 5,
    precision: torch.dtype | None = None,
) -> Rule:
    r"""Muon for matrices and AdamW for vectors, with one step size and one decay.

        θ ← θ - ελθ                    then
        Muon's step with κ = 0.2 √max(rows, columns), for two axes or more
        Adam's step, for vectors

    The factor 0.2 gives Muon's steps the rms that AdamW's have, so both share a step size. Liu et
    al. also give embeddings and the last layer to AdamW, which shapes do not show.

    Args:
        lr: ε, step size. momentum: μ of Muon. beta1: ρ₁ of Adam. beta2: ρ₂ of Adam.
        eps: δ, in both denominators. weight_decay: λ, decoupled.
        ns_steps, precision: as for `muon`; None, the parameter's own dtype, because a run then goes
            the same way however many members are trained together.

    State: momentum_buffer of a matrix; exp_avg, exp_avg_sq and step of a vector.
    Source: Liu et al., "Muon is Scalable for LLM Training", 2025, section 2.
    """
    orthogonalized = _step(True, JORDAN, ns_steps, _scale("match_rms_adamw"), precision)
    vector = adam()

    def init(param: Tensor) -> State:
        return (vector.init if param.ndim < 2 else _init)(param)

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        step = vector.update if param.ndim < 2 else orthogonalized
        return step(shrink(param, hyper), grad, state, hyper)

    moments = {"momentum": momentum, "beta1": beta1, "beta2": beta2, "eps": eps}
    return Rule(
        name="muon",
        title="Muon with AdamW",
        defaults={"lr": lr, **moments, "weight_decay": weight_decay},
        tunable={"momentum": MEMORY, **MOMENTS, "weight_decay": DECOUPLED},
        init=init,
        update=update,
        granularity="matrix",
        source="Liu et al. 2025, section 2",
    )


def orthogonalize(matrix: Tensor, eps: Tensor, coefficients: Coefficients, steps: int) -> Tensor:
    """Newton and Schulz's iteration: the singular vectors of [m, n], its singular values near 1.

    In the dtype of the matrix, and with torch.optim.Muon's operations in their order.
    """
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    X = matrix.T if tall else matrix  # so that A is the smaller of the two Gram matrices
    X = X / X.norm().clamp(min=eps)
    for _ in range(steps):
        A = X @ X.T
        B = torch.addmm(A, A, A, beta=b, alpha=c)
        X = torch.addmm(X, B, X, beta=a)
    return X.T if tall else X


def _step(
    nesterov: bool,
    coefficients: Coefficients,
    steps: int,
    scale: Callable[[int, int], float],
    precision: torch.dtype | None,
) -> Update:
    """Muon's update for these choices."""

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        b = average(state["momentum_buffer"], grad, hyper["momentum"])
        ahead = average(grad, b, 1 - hyper["momentum"]) if nesterov else b
        matrix = ahead.flatten(start_dim=1).to(precision or param.dtype)
        X = orthogonalize(matrix, hyper["eps"], coefficients, steps)
        step = hyper["lr"] * scale(*matrix.shape) * X.to(param.dtype)
        return param - step.reshape(param.shape), {"momentum_buffer": b}

    return update


def _init(param: Tensor) -> State:
    if param.ndim < 2:
        raise SettingError(
            f"Muon orthogonalises matrices, and a parameter of shape {list(param.shape)} came: use "
            "muon_adamw(), which gives vectors to AdamW, or route parameters by name, "
            'ravine.groups(model, {"*.bias": "adamw", "*": "muon"}).'
        )
    return zeros("momentum_buffer")(param)


def _scale(adjust_lr_fn: str) -> Callable[[int, int], float]:
    """The factor κ(rows, columns) of the step size."""
    choices = {"original": _original, "match_rms_adamw": _match_rms_adamw}
    if adjust_lr_fn not in choices:
        raise SettingError(
            f"adjust_lr_fn={adjust_lr_fn!r} is no way to scale Muon's steps; there are "
            '"original", √max(1, rows/columns), and "match_rms_adamw", 0.2 √max(rows, columns): '
            "pass one of these two words."
        )
    return choices[adjust_lr_fn]


def _original(rows: int, columns: int) -> float:
    return math.sqrt(max(1, rows / max(1, columns)))  # an empty matrix may have no columns


def _match_rms_adamw(rows: int, columns: int) -> float:
    return 0.2 * math.sqrt(max(rows, columns))
