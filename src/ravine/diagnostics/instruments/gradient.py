"""How long the gradient is, where, and whether it still points where it pointed."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._hvp import flat
from ravine.diagnostics.look import Look


@final
class Gradient(Instrument):
    r"""Norm of the gradient, whole and per parameter, and its angle to the one measured before.

        gᵀg,   ‖g‖ = √(gᵀg),   cos(g, g') = gᵀg' / (‖g‖ ‖g'‖)

    g is dJ/dθ of all trainable parameters as one vector, of one batch, without weight decay and
    before any clipping. g' is the gradient of the look before, `gradient_cosine_lag` steps ago:
    near -1 at a lag of 1 the run jumps from wall to wall of a ravine, near 1 it goes straight.
    A cosine with a gradient that is 0 is left out.

    g' is remembered whole, in the gradient's own precision (half precision in float32): as much
    memory as one momentum buffer. A random projection to m numbers would take less, but at m =
    10⁴ its error is 0.01 and it costs a pass over n random numbers at every look, while the look
    itself holds a gradient of that size anyway.
    """

    def __init__(self) -> None:
        self.name = "gradient"
        self.quantities = {
            "gradient_norm_squared": "gᵀg, squared length of the gradient, (cost / parameter)²",
            "gradient_norm": "√gᵀg, cost / parameter; per parameter too",
            "gradient_cosine": "cosine between this gradient and the one measured before, -1 to 1",
            "gradient_cosine_lag": "gradient steps between these two",
        }
        self.cost = "one backward pass; memory of one gradient"
        self.passes = 1.0
        self.differentiates = True
        self._before: tuple[int, Tensor] | None = None

    def look(self, look: Look) -> Readings:
        """Norms, and from the second look on the cosine."""
        g = flat(look.gradients.values())
        square = float(torch.dot(g, g))
        readings = {
            Name("gradient_norm_squared"): square,
            Name("gradient_norm"): square**0.5,
        }
        pieces = torch.split(g, [p.numel() for p in look.params.values()])
        norms = torch.stack([torch.linalg.vector_norm(piece) for piece in pieces]).tolist()
        for place, norm in zip(look.params, norms, strict=True):
            readings[Name("gradient_norm", place)] = norm
        if self._before is not None and self._before[1].shape == g.shape:
            step, before = self._before
            lengths = square**0.5 * float(torch.linalg.vector_norm(before))
            if lengths != 0.0:
                readings[Name("gradient_cosine")] = float(torch.dot(g, before.to(g))) / lengths
                readings[Name("gradient_cosine_lag")] = float(look.step - step)
        self._before = (look.step, g)
        return readings
