"""Several recipes put together: who is best, whether one recipe decides, and what is stored."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from math import comb, inf

import numpy as np
import pytest

from ravine.comparison.records import Settings
from ravine.comparison.several.overall import as_json, overall, write
from ravine.comparison.several.ranks import winner_by_luck
from ravine.errors import FolderError
from tests.comparison.several.workloads import made, ranked


def test_an_arm_that_is_first_everywhere_wins() -> None:
    found = overall([ranked(name, ["adam", "rmsprop", "sgd"]) for name in "abc"])
    assert found.decision == "winner"
    assert found.best == found.leaders == ("adam",)
    assert [arm.name for arm in found.arms] == ["adam", "rmsprop", "sgd"]
    assert [arm.mean_rank.mean for arm in found.arms] == [1, 2, 3]
    assert found.arms[0].p_best == 1
    assert found.deciding == ()
    assert [arm.maybe_best for arm in found.arms] == [3, 0, 0]


def test_a_winner_that_one_recipe_decides_is_a_tie() -> None:
    """Mean ranks 4/3 and 5/3; without c, 1.5 both; without a or b, SGD's 1 against 2 and 1.5."""
    found = overall([ranked("a", ["sgd", "adam"]), ranked("b", ["adam", "sgd"])])
    assert found.leaders == ("sgd", "adam")
    assert [left.leaders for left in found.without] == [("adam",), ("sgd",)]
    found = overall(
        [ranked("a", ["sgd", "adam"]), ranked("b", ["adam", "sgd"]), ranked("c", ["sgd", "adam"])]
    )
    assert found.leaders == ("sgd",)
    assert {left.recipe: left.leaders for left in found.without} == {
        "a": ("sgd", "adam"),
        "b": ("sgd",),
        "c": ("sgd", "adam"),
    }
    assert [left.recipe for left in found.deciding] == ["a", "c"]
    assert found.decision == "tie"
    assert found.best == ("sgd", "adam")


def test_one_recipe_does_not_decide_however_far_apart_it_is() -> None:
    """Adam is hugely ahead on one recipe and hardly, but surely, behind on the others."""
    ahead = made("a", {"sgd": [100, 101, 102], "adam": [0.1, 0.2, 0.3]})
    behind = [ranked(name, ["sgd", "adam"]) for name in "bcdefgh"]
    found = overall([ahead, *behind])
    assert found.leaders == ("sgd",)
    assert found.arms[0].mean_rank.mean == pytest.approx(9 / 8, abs=0.01)
    assert found.decision == "winner"


def test_recipes_whose_seeds_leave_all_open_are_a_tie() -> None:
    scores = np.random.default_rng(0).standard_normal((4, 2, 5))
    found = overall(
        [
            made(name, dict(zip(("sgd", "adam"), table.tolist(), strict=True)))
            for name, table in zip("abcd", scores, strict=True)
        ]
    )
    assert found.decision == "tie"
    assert set(found.best) == {"sgd", "adam"}


@pytest.mark.parametrize(("recipes", "luck"), [(3, 1 / 4), (6, 1 / 32), (7, 1 / 8), (9, 5 / 128)])
def test_how_often_two_arms_that_are_equal_in_general_get_a_winner(
    recipes: int, luck: float
) -> None:
    """Each recipe goes to either by a fair coin, without doubt about its seeds: all outcomes."""
    false = 0.0
    for wins in range(recipes + 1):
        orders = [["sgd", "adam"]] * wins + [["adam", "sgd"]] * (recipes - wins)
        found = overall([ranked(f"r{i}", order) for i, order in enumerate(orders)])
        false += (found.decision == "winner") * comb(recipes, wins) / 2**recipes
    assert false == pytest.approx(luck, abs=1e-12)
    assert winner_by_luck(recipes) == pytest.approx(luck, abs=1e-12)


def test_times_ratios_and_scores_by_hand() -> None:
    """SGD is twice as slow in steps on a, level in seconds; on b it alone arrives; on c nobody."""
    order = ["sgd", "adam"]
    found = overall(
        [
            ranked("a", order, {"sgd": 200, "adam": 100}),
            ranked("b", order, {"sgd": 90, "adam": inf}),
            ranked("c", order),
        ]
    )
    sgd, adam = found.arms
    assert found.steps_ratios.tolist() == [[2, 1, inf], [1, inf, inf]]
    assert found.seconds_ratios.tolist() == [[1, 1, inf], [1, inf, inf]]
    assert (sgd.steps_score, adam.steps_score) == pytest.approx(((2 + 3) / 9, 3 / 9))
    assert (sgd.seconds_score, adam.seconds_score) == pytest.approx((6 / 9, 3 / 9))
    assert (sgd.reached, adam.reached) == (2, 1)
    assert found.warnings[1:] == ("On c nobody reached the target: a miss for all.",)


def test_the_order_of_recipes_changes_nothing() -> None:
    scores = np.random.default_rng(3).standard_normal((3, 2, 5))
    recipes = [
        made(name, dict(zip(("sgd", "adam"), table.tolist(), strict=True)))
        for name, table in zip("abc", scores, strict=True)
    ]
    assert as_json(overall(recipes)) == as_json(overall(recipes[::-1]))


def test_few_recipes_are_warned_of_by_how_often_luck_names_a_winner() -> None:
    found = overall([ranked(name, ["sgd", "adam"]) for name in "abc"])
    assert found.warnings[0] == (
        "3 recipes say little about others: of two that are equally good in general, one is named the "
        "winner by luck in 25.0% of cases; with 6 recipes in 3.1%."
    )
    seven = overall([ranked(n, ["sgd", "adam"], {"sgd": 1, "adam": 2}) for n in "abcdefg"])
    assert "in 12.5% of cases; with 9 recipes in 3.9%" in seven.warnings[0]
    assert as_json(seven)["warnings"] == list(seven.warnings)
    six = overall([ranked(name, ["sgd", "adam"], {"sgd": 1, "adam": 2}) for name in "abcdef"])
    assert six.warnings == ()


def test_recipes_with_different_arms_are_refused() -> None:
    other = replace(ranked("b", ["sgd", "adam"]), settings=Settings(("sgd", "lion"), 900, 0))
    with pytest.raises(FolderError, match="a compares sgd,adam, b compares sgd,lion; expected"):
        overall([ranked("a", ["sgd", "adam"]), other])


def test_arms_in_another_order_are_the_same_arms() -> None:
    one, other = ranked("a", ["sgd", "adam"]), ranked("b", ["sgd", "adam"])
    turned = replace(other, settings=Settings(("adam", "sgd"), 900, 0))
    assert overall([one, turned]).leaders == overall([one, other]).leaders == ("sgd",)


def test_what_is_stored_is_whole_and_has_no_infinity(tmp_path) -> None:
    recipes = [
        ranked("a", ["sgd", "adam"], {"sgd": 90, "adam": inf}),
        ranked("b", ["adam", "sgd"], {"sgd": 40, "adam": 10}),
    ]
    found = overall([*recipes[:1], replace(recipes[1], target=None)])
    stored = json.loads(write(found, tmp_path).read_text(), parse_constant=pytest.fail)
    assert [path.name for path in tmp_path.iterdir()] == ["overall.json"]
    assert stored == as_json(found)
    assert stored["decision"] == "tie"
    assert stored["without"]["a"] == {"leaders": ["adam"], "decides": True}
    first, second = stored["recipes"]
    assert (first["target"], first["target_named"]) == (0.04, False)
    assert (second["target"], second["target_named"]) == (None, False)
    arms = {arm["name"]: arm for arm in stored["arms"]}
    assert arms["adam"]["steps_to_target"] == {"a": None, "b": 10}
    assert arms["sgd"]["steps_ratio"] == {"a": 1, "b": 4}
    assert arms["sgd"]["seconds_ratio"] == {"a": 1, "b": 2}
    assert arms["adam"]["rank"] == pytest.approx({"a": 2, "b": 1}, abs=1e-12)
    assert math.isclose(sum(arm["p_best"] for arm in stored["arms"]), 1)
