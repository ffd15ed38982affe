"""Where hyperparameters besides the learning rate are searched, and on which scale.

A validity range says what a rule can bear; a span says where good values are likely. A rule names the
span of each hyperparameter that is worth tuning. What its default switches off (a weight decay of 0),
and what only rescales the learning rate, is not searched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Literal

Scale = Literal["linear", "log", "complement"]
"""On which scale a span is even: x, log x, or log(1 - x) for decays, whose memory is 1 / (1 - x)."""

_THERE: Mapping[Scale, Callable[[float], float]] = {
    "linear": lambda x: x,
    "log": log,
    "complement": lambda x: -log(1 - x),
}
_BACK: Mapping[Scale, Callable[[float], float]] = {
    "linear": lambda y: _tidy(y),
    "log": lambda y: _tidy(exp(y)),
    "complement": lambda y: round(1 - _tidy(exp(-y)), 12),
}


@dataclass(frozen=True)
class Span:
    """Where a hyperparameter is searched.

    Attributes:
        lo, hi: the ends, as values of the hyperparameter.
        scale: see `Scale`.
        source: who searches there.
    """

    lo: float
    hi: float
    scale: Scale
    source: str

    def at(self, share: float) -> float:
        """The value that lies a share (0 to 1) of the way from lo to hi on the scale.

        To four significant digits, of 1 - x for a complement.
        """
        lo, hi = map(_THERE[self.scale], (self.lo, self.hi))
        return min(self.hi, max(self.lo, _BACK[self.scale](lo + share * (hi - lo))))

    def share(self, value: float) -> float:
        """How much of the way from lo to hi a value lies, on the scale; outside of 0 to 1 beyond."""
        lo, hi, x = map(_THERE[self.scale], (self.lo, self.hi, value))
        return (x - lo) / (hi - lo)


def _tidy(x: float) -> float:
    return float(f"{x:.4g}")


MEMORY = Span(
    0.5,
    0.996,
    "complement",
    "0.5, 0.9 and 0.99 are common (Goodfellow, Bengio & Courville 2016, section 8.3.2); the baselines "
    "of AlgoPerf search 1 - x from 0.004 (Dahl et al. 2023)",
)
"""Of a momentum, or the decay of a first moment."""

SQUARES = Span(
    0.9,
    0.9999,
    "complement",
    "Hinton's 0.9 (2012) to the 0.9999 of Kingma & Ba 2015, section 6.4; Choi et al. 2019 search as far",
)
"""Of the decay of a second moment."""

FLOOR = Span(
    1e-10,
    1e-3,
    "log",
    "Choi et al. 2019 find values far above 1e-8 best on many tasks, and search from 1e-10 on",
)
"""Of what is added to a root in a denominator."""

FLOOR_INSIDE = Span(1e-12, 1e-4, "log", "as outside of the root, where it counts by its root")
"""Of what is added inside the root."""

DECOUPLED = Span(1e-3, 1.0, "log", "the baselines of AlgoPerf (Dahl et al. 2023)")
"""Of a weight decay that is multiplied by the learning rate only."""

MOMENTS: Mapping[str, Span] = {"beta1": MEMORY, "beta2": SQUARES, "eps": FLOOR}
"""Of Adam and its kin."""
