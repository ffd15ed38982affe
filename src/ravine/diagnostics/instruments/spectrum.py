"""The ends of the Hessian's spectrum: the steepest wall of the ravine, and the way off a saddle."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._hvp import hessian_vector_product
from ravine.diagnostics.look import Look
from ravine.errors import SettingError
from ravine.seeds import generator

STEPS = 25


@final
class Spectrum(Instrument):
    r"""Largest and smallest eigenvalue of the Hessian by Lanczos' method.

        w = H qⱼ,   αⱼ = qⱼᵀw,   βⱼ = ‖w'‖,   qⱼ₊₁ = w' / βⱼ      w' = w less its part in q₁ … qⱼ

    All qᵢ are kept and w is made orthogonal to them twice: without that, copies of found
    eigenvalues appear. The eigenvalues λ of the tridiagonal matrix T (α on its diagonal, β beside
    it) approach those of H from inside. With s its unit eigenvector, the residual βₘ|sₘ| is ‖Hy -
    λy‖ for the eigenvector y = Σ sᵢqᵢ: an eigenvalue of H lies within it, and where λ is well
    apart from the others the error is of the order of its square. The largest one converges
    first; the most negative one of a network lies near a crowd around 0 and needs more steps, so
    look at its residual. On 36 small networks in training, 25 steps found the largest to 10⁻¹⁴
    and the most negative to 0.2% at worst; 16 steps to 11%.

    q₁ is drawn from a normal distribution, the same at every look, by a generator of its own.

    T also tells, for nothing, which share of the curvature is negative: Σ τ²|λ| over λ < 0, by Σ
    τ²|λ|, with τ the first elements of s, an estimate of tr H⁻ / tr |H| from one probe. (The
    fraction of *eigenvalues* below 0 would be noise: a network's are nearly all about 0.)

    Args:
        steps: m, Hessian-vector products a look; fewer where there are fewer parameters.

    Memory: m vectors of the gradient's size, while it measures.

    Raises:
        SettingError: fewer than 1 step.
        RuntimeError (in `look`): the model has no second derivative, see `hessian_vector_product`.

    Source: Golub & Van Loan, "Matrix Computations", 4th ed. 2013, chapter 10.1 to 10.3; the
        share by Ubaru, Chen & Saad, "Fast estimation of tr(f(A)) via stochastic Lanczos
        quadrature", SIAM J. Matrix Anal. Appl. 2017.
    """

    def __init__(self, steps: int = STEPS) -> None:
        if steps < 1:
            raise SettingError(
                f"{steps} Lanczos steps came; at least 1 is needed, {STEPS} is usual"
            )
        self.name = "spectrum"
        self.quantities = {
            "largest_eigenvalue": "largest eigenvalue of the Hessian, cost / parameter²",
            "smallest_eigenvalue": "smallest one, the most negative if any is; cost / parameter²",
            "largest_eigenvalue_residual": "‖Hy - λy‖ of the largest, ‖y‖ = 1; cost / parameter²",
            "smallest_eigenvalue_residual": "‖Hy - λy‖ of the smallest, ‖y‖ = 1; cost / parameter²",
            "negative_curvature_share": "estimate of tr H⁻ / tr |H|, 0 to 1",
        }
        self.steps = steps
        self.cost = f"{steps} Hessian-vector products and the gradient"
        self.passes = 1.0 + 3.0 * steps
        self.differentiates = True

    def look(self, look: Look) -> Readings:
        """Both ends of the spectrum with their residuals, and the share of negative curvature."""
        T, rest = _lanczos(look, self.steps)
        if not torch.isfinite(T).all():
            return {Name(quantity): float("nan") for quantity in self.quantities}
        eigenvalues, vectors = torch.linalg.eigh(T)
        residuals = rest * vectors[-1].abs()
        weights = vectors[0].square() * eigenvalues.abs()
        readings = {
            Name("largest_eigenvalue"): float(eigenvalues[-1]),
            Name("smallest_eigenvalue"): float(eigenvalues[0]),
            Name("largest_eigenvalue_residual"): float(residuals[-1]),
            Name("smallest_eigenvalue_residual"): float(residuals[0]),
        }
        if weights.sum() > 0.0:
            share = weights[eigenvalues < 0.0].sum() / weights.sum()
            readings[Name("negative_curvature_share")] = float(share)
        return readings


def _lanczos(look: Look, steps: int) -> tuple[Tensor, float]:
    """T, [m, m] in float64 on the CPU, and βₘ; m < steps where q₁ … qₘ span all that H reaches."""
    q = _start(look)
    steps = min(steps, q.numel())
    Q = q.new_empty(steps, q.numel())
    alphas: list[float] = []
    betas: list[float] = []
    for j in range(steps):
        Q[j] = q
        w = hessian_vector_product(look, q)
        alphas.append(float(torch.dot(q, w)))
        for _ in range(2):
            w -= Q[: j + 1].T @ (Q[: j + 1] @ w)
        betas.append(float(torch.linalg.vector_norm(w)))
        # What is left by rounding alone is no new direction.
        if not betas[-1] > 10 * torch.finfo(w.dtype).eps * max(map(abs, alphas + betas)):
            break
        q = w / betas[-1]
    beside = torch.tensor(betas[:-1], dtype=torch.float64)
    T = torch.diag(torch.tensor(alphas, dtype=torch.float64))
    return T + torch.diag(beside, 1) + torch.diag(beside, -1), betas[-1]


def _start(look: Look) -> Tensor:
    """q₁, of length 1."""
    first = next(iter(look.params.values()))
    size = sum(p.numel() for p in look.params.values())
    dtype = torch.promote_types(first.dtype, torch.float32)
    q = torch.randn(size, generator=generator("spectrum", "start"), dtype=dtype).to(first.device)
    length: Tensor = torch.linalg.vector_norm(q)
    return q / length
