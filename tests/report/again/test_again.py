"""The page of an experiment made again: what it says, and how it shows in a browser."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ravine.report.again import numbers, render_reproduction, write_reproduction
from ravine.report.again.facts import answer, facts_of
from ravine.reproduce import STUDIES, Claim, Judged, Made, Reproduction, judged
from ravine.reproduce.made import Line
from ravine.training.records import Point, Run, Trial
from tests.report.browsing import DESKTOP, PHONE, opened, overflow, requests

SEEDS = range(2, 8)
ENDS = {"adagrad": 0.30, "nesterov": 0.20, "adam": 0.20}


def run_of(name: str, seed: int, end: float) -> Run:
    noise = np.random.default_rng(seed).normal(0, 0.002)
    costs = [2.3, *(end * (1 + 1 / i) + noise for i in range(1, 28))]
    curve = tuple(Point(10 * i, cost, cost, cost) for i, cost in enumerate(costs))
    return Run(Trial(name, {"lr": 0.1}, seed), curve)


def made(name: str = "adam-mnist-softmax", lost: int = 0) -> Made:
    panel = STUDIES[name].panels[0]
    lines = [
        Line(arm, arm.title(), 0.1, 27, [run_of(arm, seed, end) for seed in SEEDS])
        for arm, end in ENDS.items()
    ]
    broken = [
        replace(r, curve=(*r.curve[:5], Point(50, math.inf, math.inf, math.inf)))
        for r in lines[0].runs[:lost]
    ]
    lines[0] = replace(lines[0], runs=[*broken, *lines[0].runs[lost:]])
    return Made(panel, lines, judged(panel, lines), "mnist/report.html")


def reproduction(*several: Made, folder: Path = Path("runs/x")) -> Reproduction:
    study = STUDIES["adam-mnist-softmax"]
    return Reproduction(study, 0.3, several, folder, {"torch": "2", "command": "ravine <b>"})


@pytest.mark.parametrize(
    ("ps", "said"),
    [
        ((0.99, 0.95), "All 2 claims hold."),
        ((0.99,), "The claim holds."),
        ((0.99, 0.5), "1 of 2 claims holds, 1 is undecided."),
        ((0.5, 0.5, 0.01), "None of 3 claims holds, 2 are undecided, 1 does not hold."),
        ((0.99, 0.99, 0.0, 0.0), "2 of 4 claims hold, 2 do not hold."),
    ],
)
def test_the_answer(ps, said):
    assert answer([Judged(Claim("adam", "ahead", "sgd"), p) for p in ps]) == said


def test_epochs_and_logarithms_are_the_originals():
    (panel,) = facts_of(reproduction(made())).panels
    assert panel.curves.x_title == "epochs"
    assert panel.curves.lines[0].steps[-1] == pytest.approx(10)  # 270 steps of 27 an epoch
    assert not panel.curves.y.log
    assert 0 <= panel.curves.y.lo < 0.2
    assert 0.3 < panel.curves.y.hi < 1  # not squeezed by the start
    (other,) = facts_of(reproduction(made("adam-cifar10-cnn"))).panels
    assert other.curves.y.log


def test_claims_and_numbers_stand_beside_the_figure():
    found = reproduction(made(lost=2))
    (panel,) = facts_of(found).panels
    assert [row.claim for row in panel.claims] == [
        *("Adam ~ Nesterov", "Adam ahead of Adagrad", "Nesterov ahead of Adagrad")
    ]
    assert [row.diverged for row in panel.rows] == ["2 of 6", "0 of 6", "0 of 6"]
    page = render_reproduction(found)
    assert "ravine &lt;b&gt;" in page
    assert 'class="undecided"><b>Adam ~ Nesterov</b><small>undecided, runs diverged' in page
    assert 'class="holds"' in render_reproduction(reproduction(made()))
    assert facts_of(reproduction(made())).answer == "All 3 claims hold."


def test_what_diverged_later_is_no_part_of_an_early_claim():
    """AdaGrad's runs diverge at step 50 of 270: a third of the way it is too late to reach them."""
    one = made(lost=2)
    early, late = (Claim("adam", "reaches", "adagrad", share) for share in (0.1, 1.0))
    panel = replace(one.panel, claims=(early, late))
    found = reproduction(replace(one, judged=judged(panel, one.lines)))
    (shown,) = facts_of(found).panels
    assert [row.verdict for row in shown.claims] == ["holds", "undecided"]
    assert [row.p for row in shown.claims] == ["P > 0.99", "runs diverged"]
    (figure,) = numbers(found)["figures"]
    assert figure["claims"][1]["p"] is None


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_the_page_in_a_browser(driver, tmp_path, width):
    found = reproduction(
        made(), replace(made("adam-cifar10-cnn", lost=6), report=None), folder=tmp_path
    )
    opened(driver, write_reproduction(found), width, "light")
    traces = driver.execute_script(
        "return [...document.querySelectorAll('.plot')]"
        ".map(plot => plot.querySelectorAll('.main-svg .scatterlayer .trace').length)"
    )
    assert traces == [6, 6]  # a line and a band each
    assert not overflow(driver)
    assert not requests(driver)
