"""What a report says of each choice, where starts, schedules or orders were compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ravine.comparison.records import Effect, Interval, Level
from ravine.report.advice import answer
from ravine.report.effects import sentence
from ravine.report.facts import facts_of
from ravine.report.page import render
from tests.report.builders import ADAM, SGD, arm, parts, study, verdict


def level(name: str, mean: float, p_best: float, behind: float = 0.0) -> Level:
    spread = 0.001 if behind else 0.0
    return Level(
        name,
        Interval(mean, mean - 0.002, mean + 0.002),
        Interval(behind, behind - spread, behind + spread),
        p_best,
    )


INIT = Effect("init", (level("he_normal", 0.02, 0.995), level("glorot_uniform", 0.03, 0.005, 0.01)))
RATE = Effect(
    "schedule",
    (level("cosine", 0.02, 0.6), level("linear", 0.021, 0.399, 0.001), level("step", 0.1, 0.001, 0.08)),
)  # fmt: skip


def candidates():
    first = arm("adam/he_normal/cosine", "Adam · he normal · cosine")
    second = arm("adam/glorot_uniform/linear", "Adam · glorot uniform · linear", 0.03, p_best=0.03)
    arms = (
        replace(first, parts=parts("adam", init="he_normal", schedule="cosine")),
        replace(second, parts=parts("adam", init="glorot_uniform", schedule="linear")),
    )
    return study(verdict(*arms, best=(first.name,), effects=(INIT, RATE)))


def test_a_choice_that_is_settled_and_one_that_is_not():
    assert sentence(INIT) == "Start: he_normal is best, P > 0.99."
    assert sentence(RATE) == "Schedule: cosine and linear cannot be told apart."


def test_rows_are_in_the_order_of_the_effects():
    fact = facts_of(candidates()).effects
    assert [(row.choice, row.level) for row in fact.rows] == [
        ("start", "he_normal"), ("start", "glorot_uniform"),
        ("schedule", "cosine"), ("schedule", "linear"), ("schedule", "step"),
    ]  # fmt: skip
    assert fact.rows[0].behind == ""
    assert fact.rows[1].validation == "3.0% [2.8%, 3.2%]"
    assert fact.rows[1].behind == "1.0% [0.9%, 1.1%]"
    assert fact.rows[1].p_best == "< 0.01"
    assert fact.caption.title == f"{sentence(INIT)} {sentence(RATE)}"


def test_the_page_shows_them_and_speaks_of_candidates():
    page = render(candidates())
    assert "Which candidate for" in page
    assert 'id="choices"' in page
    assert "All candidates, best first" in page
    assert sentence(RATE) in page


def test_plain_optimizers_have_no_such_section():
    page = render(study(verdict(ADAM, SGD, best=("adam",))))
    assert 'id="choices"' not in page
    assert 'class="choices"' not in page
    assert "Which optimizer for" in page


@pytest.mark.parametrize("same", [True, False])
def test_arms_are_candidates_only_where_more_than_the_optimizer_varies(same):
    starts = ("he_normal", "he_normal") if same else ("he_normal", "as_built")
    arms = [
        replace(one, parts=parts(one.name, init=start), p_best=0.5)
        for one, start in zip((ADAM, SGD), starts, strict=True)
    ]
    noun = "optimizers" if same else "candidates"
    assert f"both {noun}, Adam" in answer(verdict(*arms, best=("adam", "sgd")))
