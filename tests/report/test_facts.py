"""What the report says, against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ravine.comparison.records import Interval, RateScore
from ravine.report.curves import quantile
from ravine.report.facts import facts_of
from ravine.report.records import DivergedRow, Key, RankRow, RatePanel, SummaryRow
from ravine.training.records import Point, Run, Trial
from tests.report.builders import ADAM, INF, NAN, RMS, SGD, arm, run, study, verdict

# --- the table on top -----------------------------------------------------------------------------


def test_summary_row_says_what_the_arm_says():
    first = arm("adam", "Adam", lr_band=(10**-3.5, 10**-2.5), diverged=1)
    second = arm(
        "sgd", "SGD", 0.05, hyper={"lr": 0.3, "momentum": 0.9}, test=None, p_best=0.03,
        steps_to_target=INF, seconds_to_target=INF, lr_band=(0.3, 0.3),
    )  # fmt: skip
    rows = facts_of(
        study(
            verdict(first, second, best=("adam",)),
            selection=[run("adam", 1, NAN)],
            final=[run("adam", 10, 0.1), run("sgd", 10, 0.1)],
            asked=("sgd", "adam"),
        )
    ).summary
    assert rows[0] == SummaryRow(
        key=Key("adam", "Adam", 1),
        badge="best",
        lr="0.001",
        other="",
        validation="2.1%",
        validation_interval="[1.8%, 2.4%]",
        validation_note="",
        test="2.2%",
        test_interval="[1.9%, 2.5%]",
        p_best="0.97",
        steps="800",
        seconds="1.25 s",
        band="0.00032 to 0.0032",
        diverged="1 of 2",
    )
    said = (rows[1].key.slot, rows[1].other, rows[1].test, rows[1].test_interval, rows[1].p_best)
    assert said == (0, "momentum 0.9", "", "", "0.03")
    assert (rows[1].steps, rows[1].seconds) == ("missed", "missed")
    assert (rows[1].band, rows[1].diverged) == ("only near 0.3", "0 of 1")


def test_colours_do_not_depend_on_who_wins():
    asked = ("sgd", "adam", "rmsprop")
    one = facts_of(study(verdict(ADAM, RMS, SGD, best=("adam",)), asked=asked))
    two = facts_of(study(verdict(SGD, ADAM, RMS, best=("sgd",)), asked=asked))
    slots = [{row.key.name: row.key.slot for row in fact.summary} for fact in (one, two)]
    assert slots == [{"sgd": 0, "adam": 1, "rmsprop": 2}] * 2


# --- learning rates -------------------------------------------------------------------------------

RATES = (
    RateScore(0.0001, 0.5, 0.8, 100, "dropped"),
    RateScore(0.001, 0.021, 0.2, 900, "chosen"),
    RateScore(0.01, 0.03, 0.1, 900, "survived"),
    RateScore(0.1, None, None, 100, "diverged"),
    RateScore(1.0, None, 0.85, 300, "diverged"),
)


def test_panel_parts_rates_by_what_became_of_them():
    of = verdict(arm("adam", "Adam", rates=RATES, lr_band=(0.001, 0.01)), SGD, best=("adam",))
    fact = facts_of(study(of)).sensitivity
    assert fact.panels[0] == RatePanel(
        key=Key("adam", "Adam", 0),
        early=((0.0001, 0.8), (0.001, 0.2), (0.01, 0.1), (1.0, 0.85)),
        full=((0.001, 0.021), (0.01, 0.03)),
        chosen=(0.001, 0.021),
        diverged=(0.1, 1.0),
        band=(0.001, 0.01),
        note="chosen 0.001, good: 0.001 to 0.01",
    )
    assert fact.y.log
    assert "small dots after 100 steps" in fact.caption.reading
    assert "large dots after the full 900" in fact.caption.reading
    assert (fact.x.lo, fact.x.hi) == pytest.approx((10**-4.3, 10**0.3))
    assert [(r.lr, r.early, r.last, r.steps, r.status) for r in fact.rows[:4:3]] == [
        ("0.0001", "80.0%", "50.0%", "100", "dropped"),
        ("0.1", "", "", "100", "diverged"),
    ]


@pytest.mark.parametrize(
    ("bands", "title"),
    [
        (
            [(10**-3.5, 0.01), (0.3, 0.3)],
            "SGD only works near 0.3; Adam is good over 1.5 decades of learning rates.",
        ),
        (
            [(0.1, 10**-0.5), (0.01, 1.0)],
            "Adam is good over only 0.5 decades; SGD is good over 2 decades of learning rates.",
        ),
        (
            [(0.1, 1.0), (0.01, 0.1)],
            "Every optimizer here is good over 1 decade of learning rates.",
        ),
        ([(0.1, 0.1), (0.3, 0.3)], "Every optimizer here only works near one learning rate."),
    ],
)
def test_sensitivity_title_names_the_extremes(bands, title):
    arms = replace(ADAM, lr_band=bands[0]), replace(SGD, lr_band=bands[1])
    assert facts_of(study(verdict(*arms, best=("adam",)))).sensitivity.caption.title == title


def test_rates_off_the_scale_are_announced_only_if_there_are_any():
    wild = (*RATES, RateScore(10.0, 7e9, 7e9, 100, "dropped"))
    for rates, said in ((RATES, False), (wild, True)):
        of = verdict(arm("adam", "Adam", rates=rates), best=("adam",))
        fact = facts_of(study(of)).sensitivity
        assert ("Dots on the top edge are off the scale." in fact.caption.reading) is said
        assert fact.y.hi < 2


# --- curves ---------------------------------------------------------------------------------------


def test_curves_are_medians_and_a_diverged_run_stays_the_worst():
    final = [
        run("adam", 10, 0.9, 0.5, 0.1),
        run("adam", 11, 0.9, 0.6, 0.2),
        run("adam", 12, 0.9, 0.7, 0.3),
        run("adam", 13, 0.9, INF),
        run("adam", 14, 0.9, 0.8, NAN),
    ]
    fact = facts_of(study(verdict(ADAM, best=("adam",)), final=final)).cost
    assert "stops" not in fact.caption.reading
    line = fact.lines[0]
    assert line.steps == (0, 10, 20)
    assert line.low == (0.9, 0.6, 0.2)
    assert line.middle == (0.9, 0.7, 0.3)
    assert line.high == (0.9, 0.8, INF)
    assert line.seeds == 5


@pytest.mark.parametrize(("maximize", "worst"), [(False, INF), (True, -INF)])
def test_a_run_whose_cost_diverged_has_the_worst_metric_too(maximize, worst):
    broken = Run(
        Trial("adam", {"lr": 0.001}, 10), (Point(0, 2.3, 2.3, 0.9), Point(10, NAN, 2.3, 0.1))
    )
    of = verdict(ADAM, best=("adam",), maximize=maximize)
    line = facts_of(study(of, final=[broken])).validation.lines[0]
    assert line.middle == (0.9, worst)


def test_quantiles_interpolate_and_know_infinity():
    assert quantile([4, 1, 2, 3], 0.5) == 2.5
    assert quantile([1, 2, 3, 4, 5], 0.25) == 2.0
    assert quantile([1, INF], 0.5) == INF
    assert quantile([-INF, 1], 0.5) == -INF
    assert quantile([INF, INF, INF], 0.25) == INF
    assert quantile([1, INF], 0.0) == 1


def test_curve_titles_say_who_ends_where():
    final = [run("adam", 10, 0.9, 0.021), run("sgd", 10, 0.9, 0.05)]
    fact = facts_of(study(verdict(ADAM, SGD, best=("adam",)), final=final))
    assert fact.cost.caption.title == (
        "Adam ends with the lowest training cost, 0.021; SGD with the highest, 0.05."
    )
    assert fact.validation.caption.title == (
        "Adam ends with the lowest validation error rate, 2.1%; SGD with the highest, 5.0%."
    )
    of = verdict(ADAM, SGD, best=("adam",), metric="accuracy", maximize=True)
    assert facts_of(study(of, final=final)).validation.caption.title == (
        "SGD ends with the highest validation accuracy, 5.0%; Adam with the lowest, 2.1%."
    )
    lost = [final[0], run("sgd", 10, 0.9, NAN)]
    caption = facts_of(study(verdict(ADAM, SGD, best=("adam",)), final=lost)).cost.caption
    assert caption.title == (
        "Adam ends with the lowest training cost, 0.021; SGD diverged on most seeds."
    )
    assert caption.reading.endswith("A line stops where most seeds diverged.")


# --- ranking, speed, divergence -------------------------------------------------------------------


def test_ranking_and_duels():
    first = replace(ADAM, beats={"rmsprop": 0.71, "sgd": 0.999}, rank=Interval(1.31, 1.1, 1.6))
    second = replace(RMS, beats={"adam": 0.29, "sgd": 0.98}, p_best=0.28)
    third = replace(SGD, beats={"adam": 0.001, "rmsprop": 0.02}, rank=Interval(2.9, 2.8, 3.0))
    fact = facts_of(study(verdict(first, second, third, best=("adam", "rmsprop"))))
    assert fact.ranking.rows[0] == RankRow(Key("adam", "Adam", 0), 1.31, 1.1, 1.6, "0.97", "")
    assert fact.ranking.caption.title == "Adam ranks 1.3 of 3 on average; SGD ranks 2.9."
    assert fact.duels.cells == ((None, 0.71, 0.999), (0.29, None, 0.98), (0.001, 0.02, None))
    assert fact.duels.caption.title == (
        "Adam's closest rival is RMSProp, which it beats with P = 0.71."
    )


def test_speed_names_the_fastest_and_those_that_missed():
    slow = replace(RMS, steps_to_target=900.0, seconds_to_target=0.5)
    lost = replace(SGD, steps_to_target=INF, seconds_to_target=INF)
    fact = facts_of(study(verdict(ADAM, slow, lost, best=("adam",)))).speed
    assert fact.caption.title == (
        "Adam needs the fewest steps, 800; RMSProp the least time, 0.5 s; SGD never."
    )
    steps, seconds = fact.races
    assert [(value, text) for _, value, text in steps.rows] == [
        (800.0, "800"),
        (900.0, "900"),
        (INF, "missed"),
    ]
    assert [text for *_, text in seconds.rows] == ["1.25 s", "0.5 s", "missed"]
    one = facts_of(study(verdict(ADAM, lost, best=("adam",)))).speed
    assert one.caption.title == (
        "Adam reaches an error rate of 4% or less first: 800 steps, 1.25 s; SGD never."
    )
    none = facts_of(study(verdict(lost, best=("sgd",), maximize=True))).speed
    assert none.caption.title == ("No optimizer reached the target, an error rate of 4% or more.")
    assert none.races == ()


def test_diverged_trials_are_grouped_by_setting():
    selection = [
        run("sgd", 1, 0.9, NAN, lr=1.0),
        run("sgd", 2, 0.9, 0.8, INF, lr=1.0),
        run("adam", 1, 0.9, 0.1),
    ]
    final = [run("adam", 10, 0.9, NAN), run("adam", 11, 0.9, 0.1)]
    fact = facts_of(study(verdict(ADAM, SGD, best=("adam",)), selection, final)).divergence
    assert fact.rows == (
        DivergedRow("SGD", "learning rate 1", "selection", "seed 1 at step 10, seed 2 at step 20"),
        DivergedRow("Adam", "learning rate 0.001", "fresh seeds", "seed 10 at step 10"),
    )
    assert fact.caption.title == "3 of 5 trials diverged: SGD 2 and Adam 1."
    healthy = facts_of(study(verdict(ADAM, best=("adam",)), final=[run("adam", 1, 0.9)])).divergence
    assert healthy.caption.title == "None of 1 trial diverged."
    assert healthy.rows == ()


def test_the_rest_of_the_page():
    fact = facts_of(study(verdict(ADAM, SGD, best=("adam",)), final=[run("adam", 10, 0.9)]))
    assert fact.counts == (
        "2 optimizers",
        "2 learning rates",
        "900 gradient steps each",
        "20 fresh seeds",
        "1 training",
    )
    assert fact.warnings == ("Careful.",)
    assert (fact.environment, fact.command) == ((("torch", "2.13"),), "ravine compare digits")
    method = dict(fact.method)
    assert method["Did everyone get the same effort?"] == (
        "Yes: 4,000 gradient steps each to choose the learning rate. "
        "A full training is 900 gradient steps each."
    )
    uneven = verdict(ADAM, replace(SGD, gradient_steps=5000), best=("adam",))
    assert dict(facts_of(study(uneven)).method)["Did everyone get the same effort?"] == (
        "A full training is 900 gradient steps each. Choosing the learning rate took "
        "between 4,000 and 5,000 steps per optimizer."
    )


# --- diverged fresh seeds -------------------------------------------------------------------------

PARTLY = replace(SGD, final_diverged=3, test=None)
LOST = replace(RMS, final_diverged=20, test=None, rank=Interval(3.0, 3.0, 3.0))


def test_the_table_marks_imputed_numbers():
    rows = facts_of(study(verdict(ADAM, PARTLY, LOST, best=("adam", "sgd", "rmsprop")))).summary
    said = [(r.badge, r.validation, r.validation_interval, r.validation_note) for r in rows]
    assert said == [
        ("maybe best", "2.1%", "[1.8%, 2.4%]", ""),
        ("maybe best", "5.0%", "[4.7%, 5.3%]", "3 of 20 diverged"),
        ("", "", "", "diverged"),
    ]


def test_the_ranking_marks_imputed_ranks():
    fact = facts_of(study(verdict(PARTLY, ADAM, LOST, best=("adam",)))).ranking
    assert [row.note for row in fact.rows] == ["3 of 20 diverged", "", "diverged"]
    assert fact.caption.title == (
        "SGD (3 of 20 diverged) ranks 1.5 of 3 on average; RMSProp (diverged) ranks 3.0."
    )
    assert "RMSProp (diverged) mean rank 3.0, P(best) 0.97" in fact.caption.alt


def test_imputed_intervals_do_not_set_the_digits():
    narrow = replace(LOST, validation=Interval(0.9, 0.89999, 0.90001))
    rows = facts_of(study(verdict(ADAM, narrow, best=("adam", "rmsprop")))).summary
    assert rows[0].validation == "2.1%"


def test_where_nothing_trained_nothing_is_compared():
    lost = [replace(a, final_diverged=20, test=None) for a in (ADAM, SGD)]
    lost = [replace(a, beats={b.name: 0.5 for b in lost if b is not a}) for a in lost]
    fact = facts_of(study(verdict(*lost, best=("adam", "sgd"))))
    assert [(row.badge, row.validation, row.p_best) for row in fact.summary] == [("", "", "–")] * 2
    assert [(row.steps, row.seconds) for row in fact.summary] == [("–", "–")] * 2
    assert [row.p_best for row in fact.ranking.rows] == ["–"] * 2
    assert fact.ranking.caption.title == "Every final run diverged, so these ranks mean nothing."
    assert fact.duels.caption.title == "Every final run diverged, so no optimizer beats another."
    assert fact.speed.caption.title == (
        "Every final run diverged, so no optimizer reached the target."
    )
    assert fact.speed.races == ()


def test_an_optimizer_that_diverged_at_all_rates_has_no_good_ones():
    never = arm("sgd", "SGD", rates=(RateScore(0.1, None, None, 100, "diverged"),), lr=0.1)
    fact = facts_of(study(verdict(ADAM, never, best=("adam",))))
    assert [row.band for row in fact.summary] == ["only near 0.001", "none"]
    assert fact.sensitivity.panels[1].note == "chosen 0.1, good: none"
    assert (
        fact.sensitivity.caption.title == "Every optimizer here only works near one learning rate."
    )
    alone = facts_of(study(verdict(never, best=("sgd",)))).sensitivity.caption.title
    assert alone == "No learning rate tried was good: runs diverged at all of them."
