"""What a schedule is: a pure function of the step that knows how fast its tail falls."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, final

from ravine.errors import SettingError
from ravine.schedules._checks import value_of


@dataclass(frozen=True)
class RobbinsMonro:
    """Whether the sufficient condition for the convergence of SGD holds: Σε = ∞ and Σε² < ∞.

    Attributes:
        sum_diverges: Σε = ∞: the steps reach any place.
        squares_converge: Σε² < ∞: the noise of the gradients averages out.
        reason: why, in one sentence.

    Source: Robbins & Monro, "A Stochastic Approximation Method", 1951; Goodfellow, Bengio &
        Courville 2016, equations 8.12 and 8.13.
    """

    sum_diverges: bool
    squares_converge: bool
    reason: str

    @property
    def holds(self) -> bool:
        """Both."""
        return self.sum_diverges and self.squares_converge


@final
@dataclass(frozen=True, repr=False)
class Schedule:
    """Step -> factor of the learning rate, or value of any hyperparameter: finite numbers >= 0.

        schedule(step)              the factor of the update numbered `step`, from 0 on
        schedule * other            the product of both, step by step; other may be a number
        0.1 * cosine(1000)          learning rates: from 0.1 to 0 in 1000 steps

    A call remembers nothing: the step number alone says the value, so a run that goes on from a
    checkpoint has the values of one that never stopped. A negative step counts as step 0. A schedule
    over a number of steps stays at its last value after them.

    Products are commutative and associative, bit by bit. Schedules are equal if they were made of
    the same numbers, can be hashed, and pickled unless made of a lambda; `repr` is what one types.

    Attributes:
        name: its form in one word, such as "cosine"; the parts of a product between "*", constants
            left out, and those of a join between "+".
        formula: (step, *settings) -> value.
        settings: the numbers, or schedules, that it is made of.
        tail: p, the order of its tail: ε_k stays below C k^-p, and above c k^-p except at a share of
            the steps that is as small as one likes if c is chosen small (restarts let it come near 0
            for a moment). 0 where it stays away from 0, ∞ where it falls faster than any power or
            is 0 in the end; None if nobody knows. In a product orders add up.
        text: how it is typed.
    """

    name: str
    formula: Callable[..., float]
    settings: tuple[Any, ...]
    tail: float | None
    text: str

    def __call__(self, step: int) -> float:
        """The factor, or value, of the update numbered `step`."""
        return float(self.formula(max(int(step), 0), *self.settings))

    def __mul__(self, other: Schedule | float) -> Schedule:
        """The product, step by step.

        Raises:
            SettingError: a number that is negative or not finite.
        """
        if isinstance(other, Real):
            other = constant(float(other))
        if not isinstance(other, Schedule):
            return NotImplemented
        return _product(*_factors(self), *_factors(other))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return self.text

    def check(self) -> RobbinsMonro:
        """Whether Σε = ∞ and Σε² < ∞, decided by the order p of the tail: 1/2 < p <= 1.

        Raises:
            SettingError: the order is unknown, for a part is a plain function that came without.
        """
        if self.tail is None:
            raise SettingError(
                f"nobody knows how fast {self.name} falls, for it is a function of yours: say the "
                "order p of its tail k^-p, schedules.function(f, name, tail=1.0)."
            )
        return RobbinsMonro(self.tail <= 1, self.tail > 0.5, _reason(self.tail))


def constant(value: float = 1.0) -> Schedule:
    """The same value always.

    Args:
        value: a factor, or the value itself; >= 0.

    Raises:
        SettingError: it is negative or not finite.
    """
    value = value_of("value", value)
    return Schedule("constant", _constant, (value,), fading(value), f"constant({value!r})")


def function(f: Callable[[int], float], name: str, tail: float | None = None) -> Schedule:
    """A schedule from any pure function of the step.

    Args:
        f: step, from 0 on -> value. Equality is that of the function; one that is defined in a module
            can be pickled.
        name: one word of letters, digits, "_", "." and "-".
        tail: the order p if f(k) falls as k^-p, ∞ if faster than any power; None: unknown, and
            `check` refuses to say.

    Raises:
        SettingError: f cannot be called, or the name or the order cannot be used.
    """
    if not callable(f):
        raise SettingError(f"{f!r} is no function: pass one of the step, lambda step: 0.1.")
    if not re.fullmatch(r"[\w.-]+", name):
        raise SettingError(
            f'name={name!r} is no word; it is to have letters, digits, "_", "." and "-" only.'
        )
    if tail is not None and not tail >= 0:
        raise SettingError(f"tail={tail!r} is out of range; it must be a number >= 0 or math.inf.")
    told = "" if tail is None else f", tail={tail!r}"
    called = getattr(f, "__qualname__", repr(f))
    return Schedule(name, _called, (f,), tail, f"function({called}, {name!r}{told})")


def fading(last: float) -> float:
    """The order of a tail that stays at the value `last`."""
    return 0.0 if last > 0 else math.inf


def _factors(schedule: Schedule) -> tuple[Schedule, ...]:
    return schedule.settings if schedule.formula is _multiplied else (schedule,)


def _product(*factors: Schedule) -> Schedule:
    """In one order whatever order they came in, so that rounding is the same."""
    factors = tuple(sorted(factors, key=repr))
    names = [f"({f.name})" if "+" in f.name else f.name for f in factors if f.name != "constant"]
    tails = [factor.tail for factor in factors if factor.tail is not None]
    return Schedule(
        name="*".join(names) or "constant",
        formula=_multiplied,
        settings=factors,
        tail=sum(tails) if len(tails) == len(factors) else None,
        text=" * ".join(map(repr, factors)),
    )


def _reason(order: float) -> str:
    if order == 0:
        return "ε_k stays away from 0, so Σε = ∞, but Σε² = ∞ too: the noise never averages out."
    if order <= 0.5:
        return f"ε_k falls as k^-{order:g}, too slowly: Σε = ∞, but Σε² = ∞ too."
    if order <= 1:
        return f"ε_k falls as k^-{order:g}: Σε = ∞ and Σε² < ∞."
    if order < math.inf:
        return f"ε_k falls as k^-{order:g}, too fast: Σε² < ∞, but Σε < ∞ too."
    return (
        "ε_k falls faster than any power of k, or is 0 in the end: Σε² < ∞, but Σε < ∞ too, and the "
        "steps reach only so far."
    )


def _constant(step: int, value: float) -> float:
    return value


def _called(step: int, f: Callable[[int], float]) -> float:
    return f(step)


def _multiplied(step: int, *factors: Schedule) -> float:
    return math.prod(factor(step) for factor in factors)
