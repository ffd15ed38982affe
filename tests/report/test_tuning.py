"""What a report says of searches of more than the learning rate, and of the best of k."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ravine.comparison.records import Interval, RateScore, Tuning
from ravine.report.advice import answer
from ravine.report.axes import complement_axis
from ravine.report.facts import facts_of
from ravine.report.figures import curves_figure, isolation_figure, rate_figure
from ravine.report.page import render
from ravine.report.tuning import gained
from ravine.rules import Span
from tests.report.builders import SGD, arm, run, study, verdict

BETA = Span(0.5, 0.995, "complement", "")
EPS = Span(1e-10, 1e-2, "log", "")


def rate(lr, beta, eps, early, last, status, **changes):
    steps = 900 if status in ("chosen", "survived") else 100
    return RateScore(lr, last, early, steps, status, {"beta": beta, "eps": eps}, **changes)


RATES = (
    rate(0.001, 0.9, 1e-8, 0.5, 0.5, "dropped"),
    rate(0.002, 0.5, 1e-9, 0.3, 0.3, "dropped"),
    rate(0.003, 0.99, 1e-4, 0.1, 0.021, "chosen"),
    rate(0.004, 0.98, 1e-3, 0.2, 0.05, "survived"),
    rate(0.005, 0.95, 1e-6, None, None, "diverged"),
    rate(0.006, 0.99, 1e-4, 0.05, 0.04, "survived", added=True),
)
GAIN = Tuning(
    default={"lr": 0.001, "beta": 0.9, "eps": 1e-8},
    validation=Interval(0.06, 0.05, 0.07),
    gain=Interval(0.039, 0.03, 0.048),
    diverged=0,
    gradient_steps=18_000,
)
NONE = Tuning({"lr": 0.3}, SGD.validation, Interval(-0.002, -0.004, 0.001), 3, 0)


def tuned():
    adam = arm(
        "adam",
        "Adam",
        lr=0.003,
        hyper={"lr": 0.003, "beta": 0.99, "eps": 1e-4},
        rates=RATES,
        best_of=(0.31, 0.12, 0.05),
        tuning=GAIN,
    )
    sgd = replace(SGD, best_of=(0.3, 0.2, 0.06), tuning=NONE)
    of = study(verdict(adam, sgd, best=("adam",)), final=[run("adam", 10, 0.9, 0.1)])
    return replace(of, spans={"adam": {"beta": BETA, "eps": EPS}})


def test_an_answer_names_everything_that_was_searched():
    said = answer(tuned().verdict)
    assert said.startswith(
        "Use Adam with learning rate 0.003, beta 0.99, eps 0.0001: its error rate"
    )
    assert facts_of(tuned()).summary[0].other == "beta 0.99, eps 0.0001"


def test_panels_hold_every_setting_by_one_of_its_values():
    """A complement's panel in units of 1 - x; what was added has no part in the first rung's dots."""
    beta, eps = facts_of(tuned()).isolation.panels
    assert [x for x, _ in beta.early] == pytest.approx([0.5, 0.1, 0.02, 0.01])
    assert [y for _, y in beta.early] == [0.3, 0.5, 0.2, 0.1]
    assert eps.early == ((1e-9, 0.3), (1e-8, 0.5), (1e-4, 0.1), (1e-3, 0.2))
    assert eps.full == ((1e-4, 0.021), (1e-3, 0.05), (1e-4, 0.04))
    assert eps.chosen == (1e-4, 0.021)
    assert (beta.default, eps.default) == (pytest.approx(0.1), 1e-8)
    assert eps.note == "eps: chosen 0.0001, default 1e-8"


def test_the_line_takes_the_best_of_each_part_of_a_span():
    """Four settings make two parts; halves of 10⁻¹⁰ ... 10⁻² meet at 10⁻⁶."""
    _, eps = facts_of(tuned()).isolation.panels
    assert eps.best == ((1e-9, 0.3), (1e-4, 0.1))
    of = tuned()
    of = replace(of, verdict=replace(of.verdict, maximize=True))
    assert facts_of(of).isolation.panels[1].best == ((1e-8, 0.5), (1e-3, 0.2))


@pytest.mark.parametrize(
    ("eps", "title"),
    [
        (1e-4, "Every chosen value lies well inside the range that was searched."),
        (
            8e-3,
            "Adam's eps 0.008 lies near an end of its range; better ones may lie beyond.",
        ),
    ],
)
def test_the_title_says_where_better_values_may_lie(eps, title):
    of = tuned()
    adam, sgd = of.verdict.arms
    adam = replace(adam, hyper={**adam.hyper, "beta": 0.95, "eps": eps})
    of = replace(of, verdict=replace(of.verdict, arms=(adam, sgd)))
    assert facts_of(of).isolation.caption.title == title


def test_the_budget_is_a_line_for_each_arm_from_one_trial_on():
    fact = facts_of(tuned()).budget
    assert [(line.key.name, line.steps, line.middle) for line in fact.lines] == [
        ("adam", (1, 2, 3), (0.31, 0.12, 0.05)),
        ("sgd", (1, 2, 3), (0.3, 0.2, 0.06)),
    ]
    assert fact.caption.title == (
        "With 1 trial SGD does best, 30.0% on average; with 3 it is Adam, 5.0%."
    )
    assert fact.x_title == "settings tried"
    figure = curves_figure(fact)
    assert list(figure.layout.xaxis.range) == [1, 3]
    assert [list(trace.y) for trace in figure.data] == [[0.3, 0.2, 0.06], [0.31, 0.12, 0.05]]


def test_gains_come_with_their_intervals_the_most_first():
    fact = facts_of(tuned()).gains
    assert [(row.key.name, row.gain, row.at_default, row.note) for row in fact.rows] == [
        ("adam", "3.9% [3.0%, 4.8%]", "6.0% [5.0%, 7.0%]", ""),
        ("sgd", "-0.2% [-0.4%, 0.1%]", "5.0% [4.7%, 5.3%]", "3 of 20 diverged"),
    ]
    assert fact.rows[0].chosen == "learning rate 0.003, beta 0.99, eps 0.0001"
    assert fact.rows[0].default == "learning rate 0.001, beta 0.9, eps 1e-8"
    assert gained(tuned().verdict) == (
        "Gain in error rate from tuning against the default setting: "
        "Adam 3.9% [3.0%, 4.8%] and SGD -0.2% [-0.4%, 0.1%]."
    )


def test_a_search_of_rates_alone_has_neither():
    of = study(verdict(arm("adam", "Adam"), SGD, best=("adam",)))
    fact = facts_of(of)
    assert (fact.isolation, fact.budget, fact.gains, gained(of.verdict)) == (None, None, None, "")
    page = render(of)
    for name in ("isolation", "budget", "gains"):
        assert f'id="{name}"' not in page
        assert f'href="#{name}"' not in page


def test_scattered_settings_are_no_line():
    fact = facts_of(tuned())
    panel, plain = fact.sensitivity.panels
    assert {trace.mode for trace in rate_figure(fact.sensitivity, panel).data} == {"markers"}
    assert {trace.mode for trace in rate_figure(fact.sensitivity, plain).data} == {
        "lines+markers",
        "markers",
    }
    drawn = isolation_figure(fact.isolation, fact.isolation.panels[0])
    assert [trace.name for trace in drawn.data] == ["best", "early", "full", "chosen"]
    assert drawn.layout.xaxis.range[0] > drawn.layout.xaxis.range[1]  # in units of 1 - x


def test_a_complement_axis_ascends_in_x():
    axis = complement_axis(0.5, 0.9999, str)
    assert axis.lo > 0.5
    assert 0 < axis.hi < 1e-4
    assert [text for _, text in axis.ticks] == ["0.5", "0.9", "0.99", "0.999", "0.9999"]
    assert [x for x, _ in axis.ticks] == pytest.approx([0.5, 0.1, 0.01, 0.001, 0.0001])


def test_the_method_charges_the_defaults():
    said = dict(facts_of(tuned()).method)["How were the settings chosen?"]
    assert "another 18,000 gradient steps, which had no part in any choice" in said
