"""Factors that rise to 1 first: warmup, warmup-stable-decay, one cycle."""

from __future__ import annotations

from ravine.errors import SettingError
from ravine.schedules._checks import positive, steps_of, value_of
from ravine.schedules._parts import half_cosine, line, share
from ravine.schedules._schedule import Schedule, fading


def warmup(steps: int) -> Schedule:
    """A linear ramp to 1, which never is 0.

        ε_k / ε_0 = min(1, (k+1)/W)

    Two ways to warm another schedule up:

        warmup(W) * cosine(T)                   the cosine runs from step 0 on, under the ramp
        join([warmup(W), cosine(T - W)], [W])   in front: the cosine begins after the ramp

    Args:
        steps: W, >= 1: the update numbered W - 1 is the first with factor 1.

    Raises:
        SettingError: it is less than 1.

    Source: Ma & Yarats, "On the adequacy of untuned warmup for adaptive optimization", AAAI 2021.
    """
    steps = steps_of("steps", steps)
    return Schedule("warmup", _warmup, (steps,), 0.0, f"warmup({steps})")


def warmup_stable_decay(warmup: int, stable: int, decay: int, final: float = 0.0) -> Schedule:
    """Up in a ramp, level, down on a line; then constant (WSD, the trapezoid).

        ε_k / ε_0 = min(1, (k+1)/W)                 k < W
                    1                               k < W + S
                    (1-α) + α final                 α = min((k-W-S)/D, 1)

    Args:
        warmup: W, >= 1. stable: S, >= 0. decay: D, >= 1; all in steps.
        final: in [0, 1].

    Raises:
        SettingError: an argument out of range.

    Source: Hu et al., "MiniCPM", COLM 2024, section 4; the linear fall of Hägele et al., "Scaling
        Laws and Compute-Optimal Training Beyond Fixed Training Durations", NeurIPS 2024.
    """
    warmup, stable = steps_of("warmup", warmup), steps_of("stable", stable, least=0)
    decay, final = steps_of("decay", decay), value_of("final", final, most=1)
    return Schedule(
        "warmup_stable_decay",
        _warmup_stable_decay,
        (warmup, stable, decay, final),
        fading(final),
        f"warmup_stable_decay({warmup}, {stable}, {decay}, final={final!r})",
    )


def one_cycle(
    steps: int, rise: float = 0.3, start: float = 1 / 25, final: float = 1 / 250_000
) -> Schedule:
    """One cycle: up to 1 and far down again, each on half a cosine; then constant.

        start → 1       over the steps 0 to rise τ - 1
        1 → final       over the steps to τ - 1

    Args:
        steps: τ; rise τ must be above 1. rise: in (0, 1). start, final: in [0, 1].

    Raises:
        SettingError: an argument out of range.

    Source: Smith & Topin, "Super-Convergence", 2018; phases and defaults of torch's OneCycleLR, whose
        max_lr is 1 here.
    """
    steps, rise = _cycle(steps, rise)
    start, final = value_of("start", start, most=1), value_of("final", final, most=1)
    text = f"one_cycle({steps}, rise={rise!r}, start={start!r}, final={final!r})"
    settings = (steps, rise, start, 1.0, final)
    return Schedule("one_cycle", _there_and_back, settings, fading(final), text)


def one_cycle_momentum(
    steps: int, rise: float = 0.3, high: float = 0.95, low: float = 0.85
) -> Schedule:
    """The momentum that goes with `one_cycle`: low where the learning rate is high.

        high → low → high       over the steps of `one_cycle`

    Args:
        steps, rise: as for `one_cycle`. high, low: values of the momentum, >= 0.

    Raises:
        SettingError: an argument out of range.

    Source: Smith, "A disciplined approach to neural network hyper-parameters: Part 1", 2018,
        section 4.3; defaults of torch's OneCycleLR.
    """
    steps, rise = _cycle(steps, rise)
    high, low = value_of("high", high), value_of("low", low)
    text = f"one_cycle_momentum({steps}, rise={rise!r}, high={high!r}, low={low!r})"
    settings = (steps, rise, high, low, high)
    return Schedule("one_cycle_momentum", _there_and_back, settings, fading(high), text)


def _cycle(steps: int, rise: float) -> tuple[int, float]:
    steps, rise = steps_of("steps", steps), positive("rise", rise, below=1)
    if rise * steps <= 1:
        raise SettingError(
            f"steps={steps} with rise={rise:g} leave no step to rise in; one cycle needs more than "
            f"{1 / rise:.4g} steps."
        )
    return steps, rise


def _warmup(step: int, steps: int) -> float:
    return share(step + 1, steps)


def _warmup_stable_decay(step: int, warmup: int, stable: int, decay: int, final: float) -> float:
    if step < warmup:
        return _warmup(step, warmup)
    return line(1.0, final, share(step - warmup - stable, decay))


def _there_and_back(
    step: int, steps: int, rise: float, start: float, middle: float, end: float
) -> float:
    turn, last = rise * steps - 1, steps - 1
    if step <= turn:
        return half_cosine(start, middle, share(step, turn))
    return half_cosine(middle, end, share(step - turn, last - turn))
