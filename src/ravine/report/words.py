"""Numbers into words: how every figure and sentence of a report prints a number. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ravine.comparison.records import Interval
from ravine.comparison.statistics import STOP_LEVEL


def number(x: float, digits: int = 3) -> str:
    """Print `x` with `digits` significant digits and no trailing zeros.

    >>> number(0.00031622), number(0.1), number(12345.6), number(1e-7), number(float("inf"))
    ('0.000316', '0.1', '12,300', '1e-7', '∞')
    """
    if not math.isfinite(x):
        return "?" if math.isnan(x) else "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    rounded = float(f"{x:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if not -4 <= exponent < 6:
        mantissa, power = f"{rounded:.{digits - 1}e}".split("e")
        return f"{_stripped(mantissa)}e{int(power)}"
    return _stripped(f"{rounded:,.{max(0, digits - 1 - exponent)}f}")


def _stripped(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(x: float) -> str:
    """Print a number of gradient steps; an infinite one was missed."""
    return f"{round(x):,}" if math.isfinite(x) else "missed"


def duration(seconds: float) -> str:
    """Print seconds in a unit that reads well; infinite ones were missed.

    >>> duration(0.1234), duration(75), duration(7200), duration(float("inf"))
    ('0.123 s', '1.25 min', '2 h', 'missed')
    """
    if not math.isfinite(seconds):
        return "missed"
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds)} s"


def probability(p: float) -> str:
    """Print a probability to two digits, never as a certainty, never rounded up to a winner's level.

    >>> probability(0.971), probability(0.9999), probability(0.001), probability(0.9796)
    ('0.97', '> 0.99', '< 0.01', '0.979')
    """
    if p > 0.99:
        return "> 0.99"
    if p < 0.01:
        return "< 0.01"
    if p < STOP_LEVEL <= round(p, 2):
        return f"{math.floor(p * 1000) / 1000:.3f}"
    return f"{p:.2f}"


def p_is(p: float) -> str:
    """Print "P = 0.97" or "P > 0.99"."""
    text = probability(p)
    return f"P {text}" if text[0] in "<>" else f"P = {text}"


def listing(items: Sequence[str], most: int | None = None) -> str:
    """Join with commas and "and"; past `most` items the rest is only counted.

    >>> listing(["a"]), listing(["a", "b", "c"]), listing(["a", "b", "c", "d"], most=2)
    ('a', 'a, b and c', 'a, b and 2 more')
    """
    if most is not None and len(items) > most + 1:
        items = [*items[:most], f"{len(items) - most} more"]
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def plural(n: int, noun: str) -> str:
    """Print "1 seed", "2 seeds"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def a(noun: str) -> str:
    """Print "a candidate", "an optimizer"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def hyper(values: Mapping[str, float]) -> str:
    """Print hyperparameters in words, the learning rate first.

    >>> hyper({"eps": 1e-8, "lr": 0.001, "weight_decay": 0.01})
    'learning rate 0.001, eps 1e-8, weight decay 0.01'
    """
    names = sorted(values, key=lambda name: name != "lr")
    return ", ".join(f"{hyper_name(name)} {hyper_value(values[name])}" for name in names)


def hyper_name(name: str) -> str:
    """Print "learning rate", "weight decay"."""
    return "learning rate" if name == "lr" else name.replace("_", " ")


def hyper_value(x: float) -> str:
    """Print a hyperparameter; close below 1, as decays are, such that 1 - x has two digits.

    >>> hyper_value(0.003162), hyper_value(0.999), hyper_value(0.9998594), hyper_value(0.95343)
    ('0.00316', '0.999', '0.99986', '0.953')
    """
    if not 0.9 < x < 1:
        return number(x)
    return _stripped(f"{x:.{1 + math.ceil(-math.log10(1 - x))}f}")


@dataclass(frozen=True)
class Metric:
    """How the values of a metric print.

    Attributes:
        name: as the recipe calls it. maximize: whether larger is better.
        decimals: digits after the point of a mean or an interval, in the printed unit.
    """

    name: str
    maximize: bool
    decimals: int = 2

    @property
    def label(self) -> str:
        """The name in print; a function without a name of its own, "<lambda>", is the metric.

        >>> Metric("error_rate", False).label, Metric("<lambda>", False).label
        ('error rate', 'metric')
        """
        return "metric" if re.fullmatch(r"<\w+>", self.name) else self.name.replace("_", " ")

    @property
    def percent(self) -> bool:
        """Whether the metric is a fraction that prints as a percentage."""
        return self.name.endswith("rate") or self.name == "accuracy"

    def value(self, x: float) -> str:
        """Print a mean."""
        return "diverged" if not math.isfinite(x) else self._fixed(x)

    def interval(self, interval: Interval) -> str:
        """Print "2.1% [1.8%, 2.4%]"."""
        return f"{self.value(interval.mean)} {self.bounds(interval)}".rstrip()

    def bounds(self, interval: Interval) -> str:
        """Print "[1.8%, 2.4%]"; nothing around a mean that is not finite."""
        if not math.isfinite(interval.mean):
            return ""
        return f"[{self._fixed(interval.lo)}, {self._fixed(interval.hi)}]"

    def tick(self, x: float) -> str:
        """Print a value as short as it goes, for an axis or a target."""
        return f"{number(100 * x)}%" if self.percent else number(x)

    def _fixed(self, x: float) -> str:
        if not math.isfinite(x):
            return number(x)
        scaled = 100 * x if self.percent else x
        return f"{scaled:,.{self.decimals}f}" + ("%" if self.percent else "")


def metric_of(name: str, maximize: bool, intervals: Sequence[Interval]) -> Metric:
    """Choose digits such that an interval spans at least three units of the last one."""
    metric = Metric(name, maximize)
    unit = 100.0 if metric.percent else 1.0
    widths = [unit * (i.hi - i.lo) for i in intervals if 0 < i.hi - i.lo < math.inf]
    means = [abs(unit * i.mean) for i in intervals if math.isfinite(i.mean) and i.mean]
    fewest = 1 if metric.percent else 0
    if widths:
        wanted = math.ceil(-math.log10(min(widths) / 3) - 1e-9)
    else:
        wanted = 2 - math.floor(math.log10(min(means))) if means else 2
    return Metric(name, maximize, min(6, max(fewest, wanted)))
