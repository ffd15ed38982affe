"""The learning-rate range test: one run whose rate grows at every step, and what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ravine.errors import SettingError
from ravine.schedules._checks import positive, steps_of

Curve = NDArray[np.float64]

WINDOW = 7
"""Losses under the running median: three neighbours may be spikes."""
PERSISTENT = 4
"""Losses in a row that are too high before it is called divergence: one more than may be spikes."""
FEWEST = 30
"""Steps of a test at least: the running median has to leave the fall standing. On a quadratic and the
default range all of 81 tests found a stable rate and the divergence with 24 to 100 steps, 72 of them
with 22, one with 18 and none with 10 to 16, where 7 losses span as much as 4 decades."""
LEAST = 10
"""Losses before the divergence below which nothing is said."""
MEMORY = 0.7
"""Decay of the moving average: about 3 losses to either side, a quarter of a decade at the default."""
CLEAR = 4.0
"""How many standard deviations of a single loss the curve has to fall. Of pure noise it fell by 0.7 of
them on average and by 2.5 at most in 2000 tests of 100 losses, in which as little as 0.44 of the
deviation was measured."""


@dataclass(frozen=True)
class Suggestion:
    """What a range test found.

    Attributes:
        lr: the rate at which the loss fell fastest per decade; None if nothing can be suggested.
        lowest_at: the rate at which the smoothed loss was lowest, the upper end of what is worth
            trying; None as `lr`.
        diverged_at: the first rate of those at which the loss stayed too high; None if it never did.
        reason: in a sentence, how `lr` was found, or why there is none.
        rates, losses: as measured.
        smoothed: the losses under the median and the average, up to `diverged_at`.
    """

    lr: float | None
    lowest_at: float | None
    diverged_at: float | None
    reason: str
    rates: tuple[float, ...] = field(repr=False)
    losses: tuple[float, ...] = field(repr=False)
    smoothed: tuple[float, ...] = field(repr=False)


def range_test(
    step: Callable[[float], Any], lowest: float = 1e-7, highest: float = 10.0, steps: int = 100
) -> Suggestion:
    """Train with a learning rate that grows from step to step, and suggest one.

        def step(lr):
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            loss = cost(model(next(batches)))
            loss.backward()
            optimizer.step()
            return loss

        range_test(step).lr

    It stops where the loss has diverged. The model and its optimizer are to be thrown away, or
    restored, afterwards.

    Args:
        step: takes one training step at a learning rate and returns its loss, a number or a tensor
            of one.
        lowest, highest: the first rate and the last; evenly spaced between them on a log scale.
        steps: how many, >= 30.

    Raises:
        SettingError: an argument out of range.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3.
    """
    lowest, highest = positive("lowest", lowest), positive("highest", highest)
    steps = steps_of("steps", steps)
    if steps < FEWEST:
        raise SettingError(
            f"steps={steps} is too few: the running median spans {WINDOW} losses and would hide the "
            f"fall. Expected {FEWEST} or more; --steps 100 is the default."
        )
    if lowest >= highest:
        raise SettingError(f"lowest={lowest:g} must be below highest={highest:g}.")
    rates = np.geomspace(lowest, highest, steps).tolist()
    losses: list[float] = []
    for rate in rates:
        losses.append(float(step(rate)))
        if len(losses) >= LEAST and _divergence(_medians(np.array(losses))) is not None:
            break
    return _suggested(np.array(rates[: len(losses)]), np.array(losses))


def suggest(rates: Sequence[float], losses: Sequence[float]) -> Suggestion:
    """The learning rate that a range test speaks for: that of steepest descent.

    1. A running median over 7 losses takes out spikes, up to three in a row; NaN counts as a spike.
    2. The loss has diverged where this median stays above its best so far b, for 4 losses or more, by
       more than 3|b| and by more than all it had gained.
    3. Up to there, exponential averages with decay 0.7 from both ends, averaged, which shifts nothing.
    4. The steepest fall of that curve per log rate, before its minimum. There is none if the curve
       falls by less than 4 standard deviations of a single loss.

    Args:
        rates: learning rates, > 0 and rising.
        losses: the loss at each; may be infinite or NaN, as where the training was ended by then.

    Raises:
        SettingError: they are not as many, or fewer than 30, or the rates do not rise.
    """
    x, y = np.array(rates, dtype=float), np.array(losses, dtype=float)
    _check(x, y)
    return _suggested(x, y)


def _suggested(x: Curve, y: Curve) -> Suggestion:
    """As `suggest`, of a test that may have ended early."""
    medians = _medians(y)
    end = _divergence(medians)
    diverged_at = None if end is None else float(x[end])
    medians = medians[:end]
    medians = medians[: _leading(np.isfinite(medians))]
    smoothed = _averaged(medians)

    def found(reason: str, lr: float | None = None, lowest: float | None = None) -> Suggestion:
        measured = tuple(x.tolist()), tuple(y.tolist()), tuple(smoothed.tolist())
        return Suggestion(lr, lowest, diverged_at, reason, *measured)

    if len(smoothed) < LEAST:
        return found(f"the loss diverged within the first {LEAST} rates: begin at a lower one.")
    best = int(smoothed.argmin())
    noise = _deviation(y[: len(medians)] - medians)
    fall = float(smoothed[0] - smoothed[best])
    if best == 0 or fall <= CLEAR * noise or fall <= 1e-6 * abs(float(smoothed[0])):
        return found(
            f"the loss fell by {fall:.3g}, and single losses scatter by {noise:.3g}: no rate made it "
            "fall clearly. Take more steps, larger batches or another range."
        )
    steepest = int(np.gradient(smoothed, np.log(x[: len(smoothed)]))[: best + 1].argmin())
    edge = " It was still falling at the highest rate: go higher." if best == len(x) - 1 else ""
    return found("the loss fell fastest there." + edge, float(x[steepest]), float(x[best]))


def _check(rates: Curve, losses: Curve) -> None:
    if rates.ndim != 1 or rates.shape != losses.shape or len(rates) < FEWEST:
        raise SettingError(
            f"rates of shape {list(rates.shape)} and losses of shape {list(losses.shape)} came; "
            f"expected one list of each, of the same length, {FEWEST} or more: the running median "
            f"spans {WINDOW}, and would hide the fall of fewer."
        )
    if not (np.isfinite(rates).all() and rates[0] > 0 and (np.diff(rates) > 0).all()):
        raise SettingError("the rates must be finite numbers > 0 that rise from one to the next.")


def _medians(losses: Curve) -> Curve:
    """The running median, mirrored at both ends; what is not finite counts as infinite."""
    finite = np.where(np.isfinite(losses), losses, math.inf)
    padded = np.pad(finite, WINDOW // 2, mode="reflect")
    middle: Curve = np.median(np.lib.stride_tricks.sliding_window_view(padded, WINDOW), axis=1)
    return middle


def _divergence(medians: Curve) -> int | None:
    """Where the losses begin to be too high for good."""
    best = np.minimum.accumulate(medians)
    best = np.where(np.isfinite(best), best, 0.0)  # nothing finite so far: all of it is too high
    with np.errstate(invalid="ignore"):  # ∞ - ∞ where even the first median is infinite
        gained = np.nan_to_num(medians[0] - best, nan=0.0, posinf=0.0)
    high = medians - best > np.maximum(3 * np.abs(best), gained)
    for k in range(len(high) - PERSISTENT + 1):
        if high[k : k + PERSISTENT].all():
            return k
    return None


def _averaged(losses: Curve) -> Curve:
    """Forward and backward exponential averages, each corrected for its bias, averaged."""
    return (_exponential(losses) + _exponential(losses[::-1])[::-1]) / 2


def _exponential(losses: Curve) -> Curve:
    average, smoothed = 0.0, []
    for k, loss in enumerate(losses, start=1):
        average = MEMORY * average + (1 - MEMORY) * loss
        smoothed.append(average / (1 - MEMORY**k))
    return np.array(smoothed)


def _deviation(residuals: Curve) -> float:
    """The standard deviation of a normal distribution of this median distance from 0."""
    return 1.4826 * float(np.median(np.abs(residuals)))


def _leading(flags: NDArray[np.bool_]) -> int:
    """How many are true before the first that is not."""
    return len(flags) if flags.all() else int(flags.argmin())
