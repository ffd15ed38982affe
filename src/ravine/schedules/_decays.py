"""Factors that fall from 1."""

from __future__ import annotations

import math

from ravine.schedules._checks import positive, steps_of, value_of
from ravine.schedules._parts import half_cosine, line, share
from ravine.schedules._schedule import Schedule, fading


def linear(steps: int, final: float = 0.01) -> Schedule:
    """Linear decay until step τ, then constant.

        ε_k / ε_0 = (1-α) + α ε_τ/ε_0       α = min(k/τ, 1)

    Args:
        steps: τ, >= 1; a few hundred passes through the training set.
        final: ε_τ/ε_0, in [0, 1]; the notes' 1%.

    Raises:
        SettingError: an argument out of range.

    Source: Goodfellow, Bengio & Courville, "Deep Learning", 2016, equation 8.14.
    """
    steps, final = steps_of("steps", steps), value_of("final", final, most=1)
    text = f"linear({steps}, final={final!r})"
    return Schedule("linear", ramped, (1.0, final, steps), fading(final), text)


def polynomial(steps: int, power: float = 2.0, final: float = 0.0) -> Schedule:
    """A power of the way that is left; then constant.

        ε_k / ε_0 = final + (1-final) (1-α)^power       α = min(k/τ, 1)

    Args:
        steps: τ, >= 1. power: > 0; 1 is a linear decay. final: in [0, 1].

    Raises:
        SettingError: an argument out of range.

    Source: torch.optim.lr_scheduler.PolynomialLR, whose final is 0.
    """
    steps, power = steps_of("steps", steps), positive("power", power)
    final = value_of("final", final, most=1)
    text = f"polynomial({steps}, power={power!r}, final={final!r})"
    return Schedule("polynomial", _polynomial, (steps, power, final), fading(final), text)


def cosine(steps: int, final: float = 0.0) -> Schedule:
    """Half a period of the cosine; then constant.

        ε_k / ε_0 = final + (1-final) (1 + cos πα)/2       α = min(k/τ, 1)

    Args:
        steps: τ, >= 1. final: in [0, 1].

    Raises:
        SettingError: an argument out of range.

    Source: Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
        equation 5, without restarts.
    """
    steps, final = steps_of("steps", steps), value_of("final", final, most=1)
    text = f"cosine({steps}, final={final!r})"
    return Schedule("cosine", _cosine, (steps, final), fading(final), text)


def cosine_restarts(first: int, growth: int = 1, final: float = 0.0) -> Schedule:
    """The cosine again and again, from 1 each time.

        ε_k / ε_0 = final + (1-final) (1 + cos(π j/Tᵢ))/2       j steps into period i
        Tᵢ = first growthⁱ

    Args:
        first: T₀, steps of the first period, >= 1.
        growth: how many times longer each period is than the one before; a whole number >= 1.
        final: the factor that a period falls towards, in [0, 1].

    Raises:
        SettingError: an argument out of range.

    Source: Loshchilov & Hutter 2017, equation 5; torch's CosineAnnealingWarmRestarts.
    """
    first, growth = steps_of("first", first), steps_of("growth", growth)
    final = value_of("final", final, most=1)
    text = f"cosine_restarts({first}, growth={growth}, final={final!r})"
    return Schedule("cosine_restarts", _cosine_restarts, (first, growth, final), 0.0, text)


def step(every: int, factor: float = 0.1) -> Schedule:
    """A fall by the same factor every so many steps.

        ε_k / ε_0 = factor^⌊k/every⌋

    Args:
        every: steps from one fall to the next, >= 1. factor: in (0, 1).

    Raises:
        SettingError: an argument out of range.
    """
    every, factor = steps_of("every", every), positive("factor", factor, below=1)
    return Schedule("step", _step, (every, factor), math.inf, f"step({every}, factor={factor!r})")


def exponential(decay: float) -> Schedule:
    """Exponential decay.

        ε_k / ε_0 = exp(-decay k)

    Args:
        decay: > 0; torch's ExponentialLR with gamma=γ has decay = -ln γ.

    Raises:
        SettingError: it is not.
    """
    decay = positive("decay", decay)
    return Schedule("exponential", _exponential, (decay,), math.inf, f"exponential({decay!r})")


def inverse_time(decay: float) -> Schedule:
    """1/t decay: the order that Robbins & Monro ask for.

        ε_k / ε_0 = 1 / (1 + decay k)

    Args:
        decay: > 0.

    Raises:
        SettingError: it is not.
    """
    decay = positive("decay", decay)
    return Schedule("inverse_time", _inverse_time, (decay,), 1.0, f"inverse_time({decay!r})")


def inverse_sqrt(decay: float = 1.0) -> Schedule:
    """1/√t decay.

        ε_k / ε_0 = 1 / √(1 + decay k)

    The Transformer's schedule, min(n^-1/2, n w^-3/2) √w at update n = k + 1, is
    `join([warmup(w), inverse_sqrt(1 / w)], [w - 1])`.

    Args:
        decay: > 0.

    Raises:
        SettingError: it is not.

    Source: Vaswani et al., "Attention Is All You Need", 2017, equation 3.
    """
    decay = positive("decay", decay)
    return Schedule("inverse_sqrt", _inverse_sqrt, (decay,), 0.5, f"inverse_sqrt({decay!r})")


def ramped(k: int, start: float, end: float, steps: int) -> float:
    """On a line from start, at step 0, to end, at step `steps`; then constant."""
    return line(start, end, share(k, steps))


def _polynomial(k: int, steps: int, power: float, final: float) -> float:
    return final + (1 - final) * math.pow(1 - share(k, steps), power)


def _cosine(k: int, steps: int, final: float) -> float:
    return half_cosine(1.0, final, share(k, steps))


def _cosine_restarts(k: int, first: int, growth: int, final: float) -> float:
    into, period = k, first
    if growth == 1:
        into %= first
    while into >= period:  # whole numbers: a logarithm would round across a restart
        into, period = into - period, period * growth
    return half_cosine(1.0, final, into / period)


def _step(k: int, every: int, factor: float) -> float:
    return math.pow(factor, k // every)


def _exponential(k: int, decay: float) -> float:
    return math.exp(-decay * k)


def _inverse_time(k: int, decay: float) -> float:
    return 1 / (1 + decay * k)


def _inverse_sqrt(k: int, decay: float) -> float:
    return 1 / math.sqrt(1 + decay * k)
