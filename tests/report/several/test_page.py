"""The page over several recipes: what it says, and how it stands in a browser."""

from __future__ import annotations

import re
from math import inf

import numpy as np
import pytest

from ravine.comparison.several.overall import overall
from ravine.comparison.several.workloads import Target
from ravine.report import render_overall, write_overall
from ravine.report.several.facts import facts_of
from tests.comparison.several.workloads import made, ranked
from tests.report.browsing import PHONE, clipped, opened, overflow, requests
from tests.report.conftest import HOSTILE


def many(recipes: int = 7):
    """Recipes with noise, misses and warnings, of long names."""
    generator = np.random.default_rng(0)
    made_up = []
    for number in range(recipes):
        level = generator.normal(0.05, 0.01, (3, 1))
        table = level + generator.normal(0, 0.005, (3, 10))
        names = ("sgd", "adam", "rmsprop")
        steps = {name: float(generator.integers(1, 27) * 100) for name in names}
        steps["sgd"] = inf if number % 3 else steps["sgd"]
        scores = dict(zip(names, table.tolist(), strict=True))
        made_up.append(made(f"a-recipe-of-a-longer-name-{number}", scores, steps))
    return overall(made_up)


def text_of(page: str) -> str:
    without = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without))


def test_the_tables_say_what_came_out() -> None:
    found = overall(
        [
            ranked("a", ["sgd", "adam"], {"sgd": 200, "adam": 100}),
            made("b", {"sgd": [0.3, 0.4, 0.5], "adam": [0.1] * 3}, target=None, warnings=()),
        ]
    )
    page = render_overall(found)
    text = text_of(page)
    adam = next(arm for arm in found.arms if arm.name == "adam")
    row = f"Adam maybe best {adam.mean_rank.mean:.2f} [{adam.mean_rank.lo:.2f}"
    assert row in text
    assert "0.50 0.50 1 of 2" in text  # Adam's scores: the fastest on a, nobody on b
    assert "0.33 0.50 1 of 2" in text  # SGD's: twice the steps on a, and the same time
    assert "a 1 note SGD error rate" in text
    assert "b Adam error rate 10.0" in text
    assert "4% by reference runs Adam, 100" in text
    assert "none nobody" in text
    assert "On b nobody reached the target: a miss for all." in text
    assert 'href="a/report.html"' in page
    assert 'href="b/report.html"' in page


def test_the_stairs_of_a_profile() -> None:
    found = overall(
        [
            ranked("a", ["sgd", "adam"], {"sgd": 150, "adam": 100}),
            ranked("b", ["sgd", "adam"], {"sgd": 100, "adam": 500}),
            ranked("c", ["sgd", "adam"], {"sgd": 300, "adam": inf}),
        ]
    )
    steps, seconds = facts_of(found).profiles.profiles
    sgd, adam = steps.stairs  # the higher score first
    assert (sgd.taus, sgd.shares) == ((1, 1.5, 4), (2 / 3, 1, 1))
    assert (adam.taus, adam.shares) == ((1, 4), (1 / 3, 1 / 3))
    assert (sgd.score, adam.score) == ("0.94", "0.33")
    sgd, adam = seconds.stairs
    assert (sgd.taus, sgd.shares) == ((1, 4), (1, 1))
    assert adam.taus == pytest.approx((1, 4 / 3, 4))
    assert adam.shares == (0, 1 / 3, 1 / 3)


def test_a_target_of_the_recipes_own_is_said() -> None:
    found = overall(
        [
            ranked("a", ["sgd", "adam"]),
            made("b", {"sgd": [1, 2], "adam": [3, 4]}, None, Target(2, True)),
        ]
    )
    assert [row.by for row in facts_of(found).recipes] == ["by reference runs", "the recipe's own"]


def test_the_page_is_drawn_offline_within_a_phones_width(driver, tmp_path) -> None:
    opened(driver, write_overall(many(), tmp_path / "report.html"), PHONE)
    drawn = driver.execute_script(
        "return [...document.querySelectorAll('.plot')]"
        ".map(plot => plot.querySelectorAll('.main-svg .scatterlayer .trace').length)"
    )
    assert drawn == [3, 3, 3]
    assert driver.get_log("browser") == []
    assert requests(driver) == []
    assert overflow(driver) <= 0
    assert clipped(driver) == []


def test_names_cannot_take_the_page_over() -> None:
    recipes = [ranked("a", ["sgd", "adam"]), made(HOSTILE, {"sgd": [1, 2], "adam": [3, 4]})]
    page = render_overall(overall(recipes))
    shown = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert "<img" not in shown
    assert "%3C/script%3E%3Cimg" in shown  # in the link
