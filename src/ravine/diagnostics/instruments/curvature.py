"""Curvature along the gradient: does a step of gradient descent still go down?"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._hvp import flat, hessian_vector_product
from ravine.diagnostics.look import Look


@final
class Curvature(Instrument):
    r"""gᵀHg, and both sides of the test for ill-conditioning.

        J(θ - εg) ≈ J(θ) - εgᵀg + ½ε²gᵀHg        ill-conditioned where ½ε²gᵀHg > εgᵀg

    The ratio ε gᵀHg / gᵀg is below 0 where the curvature is negative, 1 where the step ends at
    the bottom of the parabola along g, and above 2 where it ends higher than it began. It is left
    out where εgᵀg is 0.

    Where parameters have different learning rates, E = diag(ε) takes the place of ε: the terms
    are ½(Eg)ᵀH(Eg) and gᵀEg, at the price of a second Hessian-vector product.

    The terms and the ratio speak of gradient descent with these rates. Other rules (momentum,
    Adam) make other steps; of those only gᵀHg and gᵀg tell.

    Raises:
        RuntimeError: the model has no second derivative, see `hessian_vector_product`.

    Source: Goodfellow, Bengio & Courville, "Deep Learning", 2016, equation 8.10.
    """

    def __init__(self) -> None:
        self.name = "curvature"
        self.quantities = {
            "gradient_curvature": "gᵀHg, cost³ / parameter⁴",
            "curvature_term": "½ε²gᵀHg, what curvature adds to the cost in a step; as the cost",
            "gradient_term": "εgᵀg, what the slope takes off in a step; as the cost",
            "overshoot_ratio": "ε gᵀHg / gᵀg; above 2 a step of gradient descent overshoots",
        }
        self.cost = "a Hessian-vector product (two where learning rates differ) and the gradient"
        self.passes = 4.0
        self.differentiates = True

    def look(self, look: Look) -> Readings:
        """gᵀHg and the test's terms."""
        g = flat(look.gradients.values())
        gHg = float(torch.dot(g, hessian_vector_product(look, g)))
        slope, bend = _terms(look, g, gHg)
        readings = {
            Name("gradient_curvature"): gHg,
            Name("curvature_term"): 0.5 * bend,
            Name("gradient_term"): slope,
        }
        if slope != 0.0:
            readings[Name("overshoot_ratio")] = bend / slope
        return readings


def _terms(look: Look, g: Tensor, gHg: float) -> tuple[float, float]:
    """gᵀEg and (Eg)ᵀH(Eg)."""
    rates = [look.lr[name] for name in look.params]
    if len(set(rates)) == 1:
        return rates[0] * float(torch.dot(g, g)), rates[0] ** 2 * gHg
    pieces = torch.split(g, [p.numel() for p in look.params.values()])
    Eg = torch.cat([rate * piece for rate, piece in zip(rates, pieces, strict=True)])
    HEg = hessian_vector_product(look, Eg)
    return float(torch.dot(g, Eg)), float(torch.dot(Eg, HEg))
