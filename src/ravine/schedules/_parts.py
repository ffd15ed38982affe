"""Ways from one value to another that several schedules take."""

from __future__ import annotations

import math


def share(step: float, steps: float) -> float:
    """α = k/τ, kept in [0, 1]."""
    return min(max(step / steps, 0.0), 1.0)


def line(start: float, end: float, alpha: float) -> float:
    """(1-α) start + α end."""
    return (1 - alpha) * start + alpha * end


def half_cosine(start: float, end: float, alpha: float) -> float:
    """end + (start - end) (1 + cos πα) / 2; level at both ends."""
    return end + (start - end) * (1 + math.cos(math.pi * alpha)) / 2
