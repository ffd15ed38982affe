"""What the report of one training says, against numbers worked out by hand."""

from __future__ import annotations

import doctest
import math
from dataclasses import replace

import pytest

from ravine.diagnostics.doctor.prescription import Proof
from ravine.diagnostics.facts import Facts
from ravine.diagnostics.history import Series
from ravine.report.run import readings, view
from ravine.report.run.curvature import limits
from ravine.report.run.facts import facts_of
from ravine.report.run.layers import columns
from ravine.report.run.loss import marks
from ravine.report.run.noise import late_scale
from ravine.report.run.readings import began, change, ended, paired
from ravine.report.run.records import FindingRow, Line, Mark
from tests.report.run.builders import (
    ACCOUNTS,
    INF,
    LOWER,
    NAN,
    SLICE,
    broken,
    finding,
    losses,
    prescription,
    record,
    whole,
)

# --- readings -------------------------------------------------------------------------------------


def test_beginnings_and_ends_are_medians_of_a_tenth():
    values = [float(v) for v in range(100)]
    assert (began(values), ended(values)) == (4.5, 94.5)
    assert (began([1, 2, NAN]), ended([1, 2, INF])) == (1, 2)
    assert (began([1, 5, 3, 4, 9, 7]), ended([1, 5, 3, 4, 9, 7])) == (3, 7)
    assert began([8.0]) == ended([8.0]) == 8
    assert math.isnan(ended([NAN]))


def test_changes_in_words():
    said = [change(2, 20), change(30, 2), change(2, 2.5), change(-1, 3)]
    assert said == ["grew 10-fold", "fell 15-fold", "changed little", "went from -1 to 3"]


def test_pairs_are_of_common_steps():
    assert paired(Series([0, 2, 5], [1.0, 2.0, 3.0]), Series([2, 3, 5], [7.0, 8.0, 9.0])) == [
        (2, 2.0, 7.0),
        (5, 3.0, 9.0),
    ]


@pytest.mark.parametrize("module", [readings, view])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


# --- on top ---------------------------------------------------------------------------------------


def test_the_answer_names_the_worst_and_counts_the_rest():
    kinds = ["lr_too_high", "saddle", "plateau", "cliff", "dying_relus"]
    said = [facts_of(record(findings=tuple(map(finding, kinds[:n])))).answer for n in (0, 1, 4, 5)]
    assert said == [
        "Nothing wrong found.",
        "Learning rate too high.",
        "Learning rate too high. Also: saddle, plateau and cliff.",
        "Learning rate too high. Also: saddle, plateau and 2 more.",
    ]


def test_advice_is_the_doctors_else_the_worst_findings():
    found = (finding("saddle"), finding())
    assert facts_of(record()).advice == ""
    assert facts_of(record(findings=found)).advice == "Remedy for saddle."
    assert (
        "learning rate / 10" in facts_of(record(findings=found, prescription=prescription())).advice
    )


def test_counts_and_findings_are_printed():
    facts = facts_of(whole())
    assert facts.counts == (
        "100 gradient steps",
        "minibatches of 32",
        "learning rate 0.1",
        "seed 7",
        "validation error rate 4.30%",
    )
    assert facts.findings[1] == FindingRow(
        "Saddle",
        "in “2.weight”, first seen at step 40",
        "Evidence of saddle.",
        "Remedy for saddle.",
    )
    assert facts.environment == (("torch", "2.13"),)
    assert facts.command == "ravine doctor digits"
    assert facts_of(record(facts=Facts())).counts == ("1 gradient step",)


# --- loss -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "title"),
    [
        ([2.0] * 5 + [0.5] * 15, "The training loss fell from 2 to 0.5."),
        ([2.0] * 5 + [2.05] * 15, "The training loss hardly moved, from 2 to 2.05."),
        ([2.0] * 5 + [8.0] * 15, "The training loss rose from 2 to 8."),
        (
            [2.0] * 5 + [1.5] + [8.0] * 15,
            "The training loss rose from 2 to 8, having been as low as 1.5.",
        ),
        ([2.0, NAN, 1.0, 1.0], "The training loss fell from 2 to 1."),
        (
            [2.0, 1.0, INF, NAN],
            "The training loss began at 2 and was no finite number from step 2 on.",
        ),
        (
            [2.0, 9e9, NAN],
            "The training loss rose from 2 to 9e9 and was no finite number from step 2 on.",
        ),
        ([NAN, NAN], "The training loss was no finite number from step 0 on."),
    ],
)
def test_the_course_of_the_loss_in_words(values, title):
    assert facts_of(record({"loss": losses(*values)})).loss.caption.title == title


def test_validation_says_where_it_was_best():
    loss = losses(*[2.0] * 5, *[0.5] * 15)
    rising = {0: 2.0, 10: 0.8, 19: 0.9}
    metric = {0: 0.9, 10: 0.02, 19: 0.0312}
    said = facts_of(record({"loss": loss, "validation_cost": rising, "validation_metric": metric}))
    assert said.loss.caption.title == (
        "The training loss fell from 2 to 0.5; the validation cost was lowest at step 10, 0.8, and "
        "ended at 0.9; the validation error rate ended at 3.12%."
    )
    level = {0: 2.0, 10: 0.8, 19: 0.83}  # less than 5% above
    assert (
        "lowest"
        not in facts_of(record({"loss": loss, "validation_cost": level})).loss.caption.title
    )


def test_the_loss_is_drawn_beside_the_evaluations():
    facts = facts_of(whole())
    cost, metric = facts.loss.charts
    assert [line.name for line in cost.lines] == [
        "loss of the minibatches",
        "training cost",
        "validation cost",
    ]
    assert cost.lines[0].steps == tuple(range(100))
    assert cost.lines[2].values[1] == 2.3 * 0.97**10 + 0.02
    assert (cost.last, cost.y.log) == (99, False)
    assert metric.heading == "validation error rate, lower is better"
    assert facts_of(whole(metric="cost")).loss.charts == (cost,)


def test_no_line_is_drawn_across_what_was_not_kept():
    kept = {0: 2.0, 1: 1.9, 600: 1.0, 650: 0.9, 701: 0.8, 1000: 0.7}
    line = facts_of(record({"loss": kept})).loss.charts[0].lines[0]
    assert line.steps == (0, 1, 2, 600, 650, 651, 701, 702, 1000)  # 50 of 1000 steps may be missing
    holes = [step for step, value in zip(line.steps, line.values, strict=True) if math.isnan(value)]
    assert holes == [2, 651, 702]
    short = {0: 2.0, 25: 1.0, 51: 0.5}
    line = facts_of(record({"loss": short})).loss.charts[0].lines[0]
    assert line.steps == (0, 25, 26, 51)  # 25 of fewer than 512


def test_the_curve_of_the_whole_run_is_preferred():
    losses = Series([1, 5, 9, 13], [4.0, 3.0, 2.0, 1.0])
    facts = facts_of(record({"loss": {0: 5.0, 15: 0.1}}, losses=losses))
    assert facts.loss.charts[0].lines[0].values == (4.0, 3.0, 2.0, 1.0)
    assert facts.loss.charts[0].last == 15
    assert facts.loss.caption.title == "The training loss fell from 5 to 1.5."
    lost = Series([1, 5, 9, 13, 17], [4.0, 3.0, NAN, NAN, NAN])
    facts = facts_of(record({"loss": {0: 5.0, 900: 0.1}}, losses=lost))
    assert facts.loss.charts[0].last == 13  # 9 and five more, as far as there is something
    assert "from step 9 on" in facts.loss.caption.title


def test_marks_share_a_label_where_two_would_touch():
    found = [finding(step=step) for step in (40, 0, 43, 900, 0, 44, 46)]
    assert marks(found, last=100) == (
        Mark(0, "2, 5"),
        Mark(40, "1, 3, 6"),
        Mark(43, ""),
        Mark(44, ""),
        Mark(46, "7"),
        Mark(100, "4"),
    )


def test_of_a_run_that_broke_only_its_beginning_is_drawn():
    facts = facts_of(broken())
    cost, metric = facts.loss.charts
    assert (cost.last, metric.last) == (25, 25)  # 20, where it broke, and a quarter more
    assert facts.loss.caption.title == (
        "The training loss rose from 2 to 2e19 and was no finite number from step 20 on."
    )
    assert max(cost.lines[0].steps) == 25
    assert [mark.step for mark in cost.marks] == [4, 25]
    assert facts.counts[0] == "500 gradient steps"
    assert facts.counts[-1] == "diverged by step 499"
    assert facts.spectrum is None
    assert facts.noise is None
    assert facts.missing == (
        "Not drawn, for lack of readings: the spectrum, gradient noise and the slice of the landscape. "
        "A larger budget measures more often."
    )


# --- curvature ------------------------------------------------------------------------------------


def test_the_three_charts_of_curvature():
    squares, terms, ratio = facts_of(whole()).curvature.charts
    bend = squares.lines[1]
    assert bend.values == (9.0,) * 10  # sizes
    assert bend.hollow == (False,) * 5 + (True,) * 5
    assert squares.y.lo < 4.0 * 0.9**90 < 9 < squares.y.hi
    assert [line.name for line in terms.lines] == ["ε gᵀg", "½ ε² gᵀHg"]
    assert ratio.lines[0] == Line("2: above it a step overshoots", 6, "level", (0, 99), (2.0, 2.0))
    assert ratio.lines[1].values[4] == 2.0
    assert ratio.y.lo <= -2.5  # 4.5 at most, drawn from -2.5 on
    assert ratio.y.hi >= 2.5


def test_overshooting_is_counted_and_growth_told():
    ratio = {0: 0.5, 1: 2.0, 2: 2.1, 3: 9.0, 4: -0.1, 5: NAN}
    square = {0: 100.0, 1: 90.0, 2: 95.0, 3: 96.0, 4: 97.0, 5: 94.0}
    bend = {0: 1.0, 1: 1.0, 2: 1.0, 3: 30.0, 4: 20.0, 5: 25.0}
    facts = facts_of(
        record(
            {
                "overshoot_ratio": ratio,
                "gradient_norm_squared": square,
                "gradient_curvature": bend,
            }
        )
    )
    assert facts.curvature.caption.title == (
        "A step of plain gradient descent would have overshot at 2 of 5 measured steps. The curvature "
        "along the gradient was negative at 1 of 5 measured steps. From start to end gᵀg changed little "
        "and gᵀHg grew 25-fold."
    )
    calm = facts_of(record({"overshoot_ratio": {0: 0.25, 1: 2.0}, "gradient_curvature": bend}))
    assert calm.curvature.caption.title == (
        "A step of plain gradient descent would never have overshot: ε gᵀHg / gᵀg came to 2 at most."
    )


def test_limits_are_two_over_the_rate():
    """ε gᵀg = 0.2 and gᵀg = 4: ε = 0.05, 2/ε = 40."""
    of = record(
        {
            "gradient_term": {0: 0.2, 5: 0.1, 6: 0.0, 9: NAN},
            "gradient_norm_squared": {0: 4.0, 5: 1.0, 6: 1.0, 7: 1.0, 9: 1.0},
        }
    )
    assert limits(of) == [(0, 40.0), (5, 20.0)]


def test_the_spectrum_is_held_against_the_limit_nearest_to_it():
    readings = {
        "gradient_term": {0: 0.2, 50: 0.4},
        "gradient_norm_squared": {0: 4.0, 50: 4.0},  # 2/ε = 40, then 20
        "largest_eigenvalue": {0: 30.0, 20: 30.0, 30: 30.0, 60: 19.0},
        "smallest_eigenvalue": {0: -1.0, 60: -2.5},
        "loss": {99: 1.0},
    }
    facts = facts_of(record(readings))
    assert facts.spectrum.caption.title == (
        "The largest eigenvalue went from 30 to 24.5, and was above 2/ε at 1 of 4 measured steps. The "
        "most negative one ended at -2.5."
    )
    level = facts.spectrum.charts[0].lines[0]
    assert (level.steps, level.values) == ((0, 0, 50, 99), (40.0, 40.0, 20.0, 20.0))
    assert len(facts.spectrum.charts[1].lines) == 2
    low = facts_of(record({**readings, "largest_eigenvalue": {0: 3.0, 60: 4.0}}))
    assert low.spectrum.caption.title.startswith(
        "The largest eigenvalue went from 3 to 4, always below 2/ε."
    )
    alone = facts_of(record({"largest_eigenvalue": {0: 3.0}, "smallest_eigenvalue": {0: 0.1}}))
    assert alone.spectrum.caption.title == (
        "The largest eigenvalue was 3. None was negative at the end."
    )


# --- noise ----------------------------------------------------------------------------------------


def test_the_noise_scale_is_a_ratio_of_sums_over_the_last_half():
    """Steps 50 and 90: (200 + 400) / (-1 + 3) = 300."""
    of = whole()
    assert late_scale(of) == 300
    facts = facts_of(of)
    assert facts.noise.caption.title == (
        "In the last half of the run the noise scale was 300 examples, more than the 32 of a minibatch."
    )
    level, scale, late = facts.noise.charts[0].lines
    assert level.values == (32.0, 32.0)
    assert scale.values == (10.0, INF, 300.0)
    assert (late.steps, late.values) == ((49, 99), (300.0, 300.0))


@pytest.mark.parametrize(
    ("square", "batch", "said"),
    [
        (-3.0, 32, "In the last half of the run noise hid the gradient altogether."),
        (400.0, None, "In the last half of the run the noise scale was 1 example."),
        (
            40.0,
            32,
            "In the last half of the run the noise scale was 10 examples, no more than the 32 of a "
            "minibatch.",
        ),
        (NAN, 32, "The noise of the gradient was measured in the first half of the run only."),
    ],
)
def test_noise_in_words(square, batch, said):
    of = record(
        {
            "gradient_noise_scale": {0: 1.0, 90: INF},
            "gradient_variance": {0: 1.0, 90: 400.0},
            "true_gradient_norm_squared": {0: 1.0, 90: square},
        },
        facts=Facts(batch_size=batch),
    )
    assert facts_of(of).noise.caption.title == said


# --- layers ---------------------------------------------------------------------------------------


def test_columns_are_medians_between_halfway_edges():
    """48 columns of 10 steps each: steps 0, 1, 2 fall into the first, 100 into the 11th, 479 last."""
    one = Series([0, 1, 2, 100, 479], [1.0, 2.0, 9.0, 4.0, NAN])
    other = Series([1, 470], [5.0, 6.0])
    edges, cells = columns({"one": one, "other": other}, last=480)
    assert edges == (0.0, 50.5, (100 + 474.5) / 2, 480.0)
    assert cells[0][:2] == (2.0, 4.0)
    assert math.isnan(cells[0][2])
    assert cells[1][0] == 5.0
    assert math.isnan(cells[1][1])
    assert cells[1][2] == 6.0


def test_layers_in_words_and_maps():
    facts = facts_of(whole())
    assert facts.layers.caption.title == (
        "At the end the gradient of 0.weight is 1,000 times as long as that of 3.weight. In “3”, 75% of "
        "the units are dead. In “3”, 30% of the outputs are saturated."
    )
    headings = [heat.heading for heat in facts.layers.maps]
    assert len(headings) == 5
    gradient = facts.layers.maps[0]
    assert gradient.rows == tuple(f"{layer}.weight" for layer in range(4))
    assert {value for row in gradient.cells for value in row} == {1.0, 0.1, 0.01, 0.001}
    assert gradient.colour.log
    dead = facts.layers.maps[3]
    assert (dead.colour.lo, dead.colour.hi, dead.colour.log) == (0.0, 1.0, False)


def test_maps_without_anything_to_see_are_left_out():
    facts = facts_of(
        record(
            {
                "gradient_norm": {0: 1.0},
                "gradient_norm@w": {0: 0.0},
                "dead_units@1": {0: 0.0, 5: 0.019},
                "activation_std@1": {0: 2.0},
            }
        )
    )
    assert [heat.heading for heat in facts.layers.maps] == ["Spread of the outputs, by layer"]
    assert facts.layers.caption.title == "What was measured layer by layer."
    assert facts_of(record({"gradient_norm@w": {0: NAN}})).layers is None


def test_of_many_layers_evenly_spaced_ones_are_shown():
    of = record({f"gradient_norm@{i}": {0: 1.0 + i} for i in range(100)})
    heat = facts_of(of).layers.maps[0]
    assert heat.rows == tuple(str(i) for i in range(0, 100, 3))
    assert "Of 100 rows, 40" in facts_of(of).layers.caption.reading


# --- landscape ------------------------------------------------------------------------------------


def test_the_slice_in_words_and_colours():
    view = facts_of(whole()).view
    assert view.caption.title == (
        "The plane holds 90% of the path, up to step 20; along it the cost fell from 2 to 0.5."
    )
    assert view.path[1] == (-0.5, 0.2, "step 10: cost 1")
    # the 90% quantile of 0.25, 0.5, 1, 1.5, 2, 3, 4, 1e9 would be 3e8: 1e9 itself is beyond it
    assert view.colour.hi < 1e9
    high = replace(SLICE, along=(1e9, 1.0, 0.5))
    assert facts_of(whole(slice=high)).view.colour.hi >= 1e9
    nothing = replace(SLICE, costs=((NAN,) * 3,) * 3)
    assert facts_of(whole(slice=nothing)).view is None
    held = replace(SLICE, shares=(0.99, 0.0099), along=(0.5, NAN, 1.0))
    assert facts_of(whole(slice=held)).view.caption.title == (
        "The plane holds more than 99% of the path, up to step 20; along it the cost rose from 0.5 to 1."
    )


# --- remedies and costs ---------------------------------------------------------------------------


def test_the_treatment_is_printed():
    """t(0.975; 2) = 4.3027, and the gains' standard error is 0.1/√3: 0.4 ± 0.2484."""
    found = facts_of(whole()).treatment
    assert found.caption.title == (
        "What helps: learning rate / 10. It improves the error rate by 40.0% [15.2%, 64.8%] on 3 "
        "fresh seeds."
    )
    assert found.rows == (
        ("learning rate / 10", "from step 20", "90", "10.0%", "80.0%", "recommended"),
        ("clipping", "from the start", "30", "diverged", "85.0%", ""),
        ("Adam", "", "", "", "", "could not be trained: ValueError: no <b>"),
    )
    assert found.code == "learning rate / 10 = 1"


NOTHING = Proof(None, (), (), maximize=False)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"attempts": (), "proof": NOTHING}, "There is no remedy to try by machine."),
        ({"proof": NOTHING}, "None of the changes tried helps."),
        (
            {"proof": Proof(LOWER, (0.4, 0.5, 0.6), (0.1, 0.5, 0.9), maximize=False)},
            "The most promising change is learning rate / 10, but it is not shown to help on 3 fresh "
            "seeds: 0.0% [-74.5%, 74.5%].",
        ),
        (
            {"proof": Proof(LOWER, (0.4,), (0.1,), maximize=False)},
            "The most promising change is learning rate / 10, but it is not shown to help on 1 fresh "
            "seed.",
        ),
    ],
)
def test_a_visit_that_does_not_help_says_so(changes, title):
    found = facts_of(whole(prescription=prescription(**changes))).treatment
    assert found.caption.title == title
    assert found.code is None


def test_a_visit_to_the_healthy_has_no_table():
    assert facts_of(whole(prescription=prescription(findings=()), findings=())).treatment is None


def test_what_measuring_took_is_told_the_dearest_first():
    found = facts_of(record(accounts=ACCOUNTS)).costs
    assert found.caption.title == (
        "Measuring took 2 s in all, 75% of it for spectrum; 1 instrument failed."
    )
    assert found.rows == (
        ("spectrum", "2", "1.5 s", "75%", "failed: RuntimeError: no second derivative"),
        ("loss", "100", "0.5 s", "25%", ""),
        ("noise", "0", "0 s", "0%", "never came due"),
    )
    assert facts_of(record()).costs is None


def test_only_what_is_drawn_is_explained():
    questions = [question for question, _ in facts_of(whole()).method]
    assert len(questions) == 8
    few = [question for question, _ in facts_of(record({"loss": losses(1.0)})).method]
    assert few == questions[:3]
