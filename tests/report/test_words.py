"""Numbers in print."""

from __future__ import annotations

import doctest
import math

import pytest

from ravine.comparison.records import Interval
from ravine.report import curves, words
from ravine.report.axes import linear_axis, log_axis, outcome_axis
from ravine.report.words import Metric, metric_of, number


@pytest.mark.parametrize("module", [words, curves])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.0, "0"),
        (0.0001, "0.0001"),
        (10**-4.5, "3.16e-5"),
        (0.0009996, "0.001"),
        (99.96, "100"),
        (-2.5, "-2.5"),
        (123456.0, "123,000"),
        (1.5e6, "1.5e6"),
        (math.nan, "?"),
    ],
)
def test_numbers_keep_three_digits(x, text):
    assert number(x) == text


@pytest.mark.parametrize(
    ("name", "percent"),
    [("error_rate", True), ("accuracy", True), ("win rate", True), ("cost", False), ("f1", False)],
)
def test_only_rates_and_accuracy_are_percentages(name, percent):
    assert Metric(name, maximize=False).percent is percent


@pytest.mark.parametrize(
    ("name", "label"),
    [("error_rate", "error rate"), ("<lambda>", "metric"), ("<b>bold</b>", "<b>bold</b>")],
)
def test_a_metric_without_a_name_prints_as_metric(name, label):
    assert Metric(name, maximize=False).label == label


@pytest.mark.parametrize(
    ("name", "interval", "text"),
    [
        ("error_rate", Interval(0.021, 0.018, 0.024), "2.1% [1.8%, 2.4%]"),
        ("error_rate", Interval(0.0219, 0.0213, 0.0225), "2.19% [2.13%, 2.25%]"),
        ("error_rate", Interval(0.31, 0.11, 0.62), "31.0% [11.0%, 62.0%]"),
        ("cross_entropy", Interval(0.0712, 0.0690, 0.0735), "0.071 [0.069, 0.073]"),
        ("perplexity", Interval(1234.0, 1200.0, 1290.0), "1,234 [1,200, 1,290]"),
        ("cost", Interval(0.0123, 0.0123, 0.0123), "0.0123 [0.0123, 0.0123]"),
        ("cost", Interval(0.5, 0.25, math.inf), "0.500 [0.250, ∞]"),
        ("cost", Interval(math.inf, 0.25, math.inf), "diverged"),
        ("cost", Interval(math.nan, math.nan, math.nan), "diverged"),
    ],
)
def test_digits_follow_the_width_of_the_interval(name, interval, text):
    assert metric_of(name, False, [interval]).interval(interval) == text


def test_linear_axis_has_round_ticks_inside_its_range():
    axis = linear_axis([0.0, 0.97, math.nan, math.inf], number)
    assert (axis.lo, axis.hi) == pytest.approx((-0.0485, 1.0185))
    assert axis.ticks == (
        (0, "0"),
        (0.2, "0.2"),
        (0.4, "0.4"),
        (0.6, "0.6"),
        (0.8, "0.8"),
        (1, "1"),
    )


def test_log_axis_thins_out_decades_and_refines_short_ranges():
    wide = log_axis([1e-6, 1e2], number)
    assert [text for _, text in wide.ticks] == ["1e-6", "0.0001", "0.01", "1", "100"]
    short = log_axis([0.03, 0.6], number)
    assert [text for _, text in short.ticks] == ["0.05", "0.1", "0.2", "0.5"]


@pytest.mark.parametrize(
    ("values", "log"), [((0.9, 0.02), True), ((0.9, 0.03), False), ((0.9, 0.0), False)]
)
def test_outcomes_are_logarithmic_beyond_one_and_a_half_decades(values, log):
    assert outcome_axis(values, 0.9, False, number).log is log


def test_outcomes_far_worse_than_the_start_do_not_set_the_range():
    low = outcome_axis([0.5, 0.9, 1e9, math.inf], 0.9, False, number)
    assert low.hi == pytest.approx(1.08 + 0.05 * (1.08 - 0.5))
    assert low.clip(1e9) == low.hi
    high = outcome_axis([0.5, 0.1, -1e9], 0.1, True, number)
    assert high.lo == pytest.approx(0.06 - 0.05 * 0.44)
    assert not high.log


def test_axes_of_nothing_and_of_one_value_have_a_width():
    for values in ([], [0.0], [0.25], [math.nan]):
        axis = outcome_axis(values, math.nan, False, number)
        assert axis.lo < axis.hi
