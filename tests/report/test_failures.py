"""What the report says of failed trials, against words worked out by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ravine.comparison.records import Explanation, Failure, Failures
from ravine.diagnostics.finding import Finding
from ravine.report.facts import facts_of
from ravine.report.failures import what_failed
from ravine.report.page import render
from ravine.report.records import FailureRow, Key
from tests.report.builders import ADAM, NAN, SGD, run, study, verdict
from tests.report.conftest import HOSTILE
from tests.report.test_page import own

HIGH = Finding("lr_too_high", 0.8, "The loss rose from 2.3 to 9e+30.", "Lower it.", 3)
LOW = Finding("lr_too_low", 0.9, "It moved by 0.001 of its size.", "Raise it.", 0)
LOST = Finding("not_finite", 0.99, "NaN first appears at step 3.", "Look.", 3, "0.weight")
DEAD = Finding("dying_relus", 0.6, "40 of 64 are dead.", "Use leaky ones.", 5, "1")


def failure(arm: str, lr: float, *metrics: float, chosen: float = 0.01, **changes) -> Failure:
    """A setting at which both trials of the selection failed; those of the first one's curve."""
    one = run(arm, 1, *metrics, lr=lr)
    lost = one.diverged_at is not None
    counts = {"trials": 2, "diverged": 2 * lost, "stuck": 2 * (not lost), "fresh": 0}
    base = Failure(
        arm, lr, chosen, True, **counts, by=one.diverged_at, stage="selection", run=one, best=0.15
    )
    return replace(base, **changes)


def explained(*findings: Finding, outcome: str = "stuck", error: str | None = None) -> Explanation:
    return Explanation(1, 30, outcome, findings, error)


DIVERGED = failure(
    "adam", 1.0, 0.9, NAN, explanation=explained(LOST, HIGH, outcome="diverged"), by=20
)
STUCK = failure("sgd", 0.0001, 0.9, 0.88, explanation=explained(LOW))


def fact_of(*settings: Failure, trials: int = 80, looked_into: bool = True):
    found = Failures(trials, settings, looked_into)
    return facts_of(study(verdict(ADAM, SGD, best=("adam",), failures=found))).failures


def row_of(one: Failure) -> FailureRow:
    (row,) = fact_of(one).rows
    return row


def test_a_trial_that_diverged():
    assert row_of(DIVERGED) == FailureRow(
        key=Key("adam", "Adam", 0),
        lr="1",
        note="",
        happened="2 of 2 trials diverged by step 20",
        numbers="",
        why="learning rate too high",
        evidence="The loss rose from 2.3 to 9e+30.",
        change="Lower the learning rate: at 0.01 (100 times lower) it trained.",
    )


def test_a_trial_that_got_stuck():
    assert row_of(STUCK) == FailureRow(
        key=Key("sgd", "SGD", 1),
        lr="0.0001",
        note="",
        happened="2 of 2 trials got stuck",
        numbers="error rate 90.0% untrained, 88.0% after 10 steps; best trial 15.0%",
        why="learning rate too low",
        evidence="It moved by 0.001 of its size.",
        change="Raise the learning rate: at 0.01 (100 times higher) it trained.",
    )


def test_a_chosen_rate_that_failed_on_fresh_seeds():
    """No other rate is known to have trained: the worst finding and its remedy, and the others."""
    row = row_of(
        failure(
            "adam", 0.01, 0.9, NAN, trials=22, diverged=3, stuck=1, fresh=4, by=1200,
            chosen_trained=False, stage="final", explanation=explained(LOST, DEAD, outcome="diverged"),
        )
    )  # fmt: skip
    assert row.note == "the chosen one"
    assert row.happened == (
        "3 of 22 trials diverged by step 1,200, 1 got stuck; 4 of them on fresh seeds"
    )
    assert (row.why, row.change) == ("NaN or infinite", "Look.")
    assert row.evidence == "In 0.weight: NaN first appears at step 3. Also: dying ReLUs."


def test_a_cause_beside_the_rate_keeps_its_remedy():
    row = row_of(replace(STUCK, explanation=explained(DEAD)))
    assert (row.why, row.evidence) == ("dying ReLUs", "In 1: 40 of 64 are dead.")
    assert row.change == (
        "Raise the learning rate: at 0.01 (100 times higher) it trained. Use leaky ones."
    )


@pytest.mark.parametrize(
    ("explanation", "why", "evidence"),
    [
        (
            explained(),
            "nothing known was found wrong",
            "The rate is all that differs from the chosen one, which trained.",
        ),
        (explained(LOW, outcome="fine"), "trained again alone it did not fail", ""),
        (
            explained(LOW, outcome="diverged"),
            "learning rate too low",
            "Trained again alone it diverged. It moved by 0.001 of its size.",
        ),
        (
            explained(outcome="unknown", error="ValueError: no"),
            "could not be trained again",
            "ValueError: no.",
        ),
    ],
)
def test_what_the_replay_did_is_said_as_it_is(explanation, why, evidence):
    row = row_of(replace(STUCK, explanation=explanation))
    assert (row.why, row.evidence) == (why, evidence)
    assert row.change == "Raise the learning rate: at 0.01 (100 times higher) it trained."


def test_what_failed_alike_is_counted_beside_it():
    others = [
        failure("sgd", 0.00001, 0.9, 0.9),
        failure("sgd", 0.00003, 0.9, 0.9, stuck=1),
        failure("sgd", 1.0, 0.9, 0.9),
        failure("adam", 0.00001, 0.9, 0.9),
    ]
    fact = fact_of(STUCK, *others)
    assert [row.note for row in fact.rows] == ["likewise 1e-5 to 3e-5 (3 trials)"]
    assert fact.rest == (
        "Not looked into: SGD at 1 (2 trials) and Adam at 1e-5 (2 trials). "
        "ravine doctor looks into any of them."
    )
    assert fact_of(STUCK, *others[:1]).rest == ""


def test_a_folder_of_an_earlier_version():
    fact = fact_of(replace(STUCK, explanation=None), looked_into=False)
    assert fact.rows == ()
    assert fact.rest == (
        "Not looked into: SGD at 0.0001 (2 trials). "
        "Type the command again to have some of them looked into."
    )
    assert fact.caption.title == "2 of 80 trials got stuck."


def test_titles_say_how_many_and_why():
    other = replace(DIVERGED, arm="sgd")
    assert fact_of(DIVERGED).caption.title == (
        "2 of 80 trials diverged: learning rate too high for Adam."
    )
    assert fact_of(STUCK, DIVERGED, other, trials=1000).caption.title == (
        "4 of 1,000 trials diverged and 2 got stuck: learning rate too high for Adam and SGD; "
        "learning rate too low for SGD."
    )
    assert fact_of().caption.title == "No trial diverged or got stuck."


def test_what_failed_in_a_line():
    fine = replace(STUCK, explanation=explained(LOW, outcome="fine"))
    found = Failures(80, (DIVERGED, failure("adam", 3.0, 0.9, NAN), fine), True)
    assert what_failed(verdict(ADAM, SGD, best=("adam",), failures=found)) == (
        "4 of 80 trials diverged and 2 got stuck: learning rate too high for Adam."
    )
    assert what_failed(verdict(ADAM, SGD, best=("adam",))) == "No trial diverged or got stuck."


# --- the page -------------------------------------------------------------------------------------


def section(of) -> str:
    return re.search(r'<section id="failures".*?</section>', own(render(of)), re.S)[0]


def test_the_section_has_a_row_for_each_that_was_looked_into():
    found = Failures(80, (DIVERGED, STUCK), True)
    html = section(study(verdict(ADAM, SGD, best=("adam",), failures=found)))
    heads = re.findall(r'<th scope="col">(.*?)</th>', html)
    assert heads == ["Optimizer", "Learning rate", "What happened", "Why", "What to change"]
    assert html.count("<tr>") == 3
    assert "<b>learning rate too high</b><small>The loss rose from 2.3 to 9e+30.</small>" in html
    assert 'href="#failures"' in own(render(study(verdict(ADAM, best=("adam",)))))


def test_where_nothing_failed_the_section_is_one_line():
    html = section(study(verdict(ADAM, SGD, best=("adam",))))
    assert "No trial diverged or got stuck." in html
    assert "<table" not in html
    assert "How to read" not in html


def test_hostile_findings_stay_text():
    bad = Finding(HOSTILE, 0.9, HOSTILE, HOSTILE, 0, HOSTILE)
    settings = (
        replace(STUCK, explanation=explained(bad)),
        replace(DIVERGED, explanation=explained(error=HOSTILE, outcome="unknown")),
        failure("sgd", 1.0, 0.9, 0.9),
    )
    arms = (replace(ADAM, title=HOSTILE), replace(SGD, title=HOSTILE))
    of = verdict(*arms, best=("adam",), failures=Failures(80, settings, True))
    html = section(study(of))
    assert "<img" not in html
    assert "</script" not in html
    assert html.count("&lt;img src=x onerror=&quot;") >= 6


def test_a_setting_that_differs_in_more_says_in_what_and_is_not_blamed_on_the_rate():
    """The same rate as the chosen one, at another momentum: the finding speaks for itself."""
    explanation = explained(LOST, HIGH, outcome="diverged")
    other = failure("adam", 0.01, 0.9, NAN, explanation=explanation, by=20, alike=False)
    hyper = {"lr": 0.01, "momentum": 0.99}
    moved = replace(other.run, trial=replace(other.run.trial, hyper=hyper))
    tried = replace(ADAM.rates[0], other={"momentum": 0.9})
    arms = replace(ADAM, rates=(tried,), hyper={"lr": 0.01, "momentum": 0.9}), SGD
    found = Failures(80, (replace(other, run=moved),), True)
    (row,) = facts_of(study(verdict(*arms, best=("adam",), failures=found))).failures.rows
    assert row.note == "momentum 0.99"
    assert (row.why, row.change) == (LOST.title, LOST.remedy)
