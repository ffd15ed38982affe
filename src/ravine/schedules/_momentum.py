"""Values that rise, as those of a momentum."""

from __future__ import annotations

from ravine.schedules._checks import steps_of, value_of
from ravine.schedules._decays import ramped
from ravine.schedules._schedule import Schedule, fading


def ramp(start: float, end: float, steps: int) -> Schedule:
    """On a line from one value to another; then constant.

        value_k = (1-α) start + α end       α = min(k/τ, 1)

    `ramp(0.5, 0.99, 1000)` is the common momentum that begins at 0.5 and rises to 0.99.

    Args:
        start, end: values, >= 0. steps: τ, >= 1.

    Raises:
        SettingError: an argument out of range.
    """
    start, end = value_of("start", start), value_of("end", end)
    steps = steps_of("steps", steps)
    text = f"ramp({start!r}, {end!r}, {steps})"
    return Schedule("ramp", ramped, (start, end, steps), fading(end), text)


def sutskever_momentum(largest: float = 0.99, every: int = 250) -> Schedule:
    """The momentum that begins at 1/2 and rises to 3/4, 5/6, 7/8, ..., up to a largest value.

        μ_k = min(1 - 2^(-1 - log₂(⌊k/every⌋ + 1)), μmax) = min(1 - 1/(2 (⌊k/every⌋ + 1)), μmax)

    Args:
        largest: μmax, in [0, 1]; the paper takes 0.9 to 0.999. every: steps between two rises, >= 1.

    Raises:
        SettingError: an argument out of range.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning",
        ICML 2013, equation 5.
    """
    largest, every = value_of("largest", largest, most=1), steps_of("every", every)
    text = f"sutskever_momentum({largest!r}, every={every})"
    return Schedule("sutskever_momentum", _sutskever, (largest, every), fading(largest), text)


def _sutskever(step: int, largest: float, every: int) -> float:
    return min(1 - 0.5 / (step // every + 1), largest)
