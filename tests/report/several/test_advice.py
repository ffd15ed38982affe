"""The sentence over several recipes, word by word."""

from __future__ import annotations

from math import inf

import numpy as np

from ravine.comparison.several.overall import overall
from ravine.report.several.advice import answer, speed_answer
from tests.comparison.several.workloads import made, ranked


def test_a_winner() -> None:
    found = overall([ranked(name, ["adam", "rmsprop", "sgd"]) for name in "abc"])
    assert answer(found) == (
        "Over 3 recipes Adam is best: mean rank 1.0 of 3, P > 0.99, whichever recipe is left out. "
        "RMSProp and SGD are behind."
    )


def test_recipes_that_decide_are_named() -> None:
    """Adam's ranks 1, 1, 3 against SGD's 2, 3, 1 and RMSProp's 3, 2, 2."""
    orders = {
        "a": ["adam", "sgd", "rmsprop"],
        "b": ["adam", "rmsprop", "sgd"],
        "c": ["sgd", "rmsprop", "adam"],
    }
    found = overall([ranked(name, order) for name, order in orders.items()])
    text = answer(found)
    p = f"P = {found.arms[0].p_best:.2f}"
    assert text == (
        f"No certain winner: over 3 recipes Adam has the best mean rank, 1.7 of 3, {p}, but without "
        "a it would be level with SGD and RMSProp; without b it would be SGD."
    )


def test_many_recipes_that_decide_are_counted() -> None:
    """Of five recipes SGD has three: without any of them it is level with Adam."""
    orders = [["sgd", "adam"]] * 3 + [["adam", "sgd"]] * 2
    found = overall([ranked(f"r{i}", order) for i, order in enumerate(orders)])
    assert "but without any one of 3 recipes it would be level with Adam." in answer(found)


def test_arms_that_share_the_lead() -> None:
    """SGD and Adam 1 and 2 each; alone, each recipe has its own leader."""
    found = overall([ranked("a", ["sgd", "adam"]), ranked("b", ["adam", "sgd"])])
    assert answer(found) == (
        "No certain winner: over 2 recipes SGD and Adam have the same mean rank, 1.5 of 2, but "
        "without a it would be Adam; without b it would be SGD."
    )


def test_what_the_seeds_leave_open_is_named() -> None:
    """SGD a little ahead on both, within what five seeds tell."""
    seeds = np.random.default_rng(0).standard_normal((2, 5))
    scores = {"sgd": list(seeds[0] - 0.2), "adam": list(seeds[1] - seeds[1].mean())}
    scores["sgd"] = list(seeds[0] - seeds[0].mean() - 0.2)
    scores["rmsprop"] = list(50 + seeds[0])
    found = overall([made(name, scores) for name in "abc"])
    p = f"P = {found.arms[0].p_best:.2f}"
    assert answer(found) == (
        f"No certain winner: over 3 recipes SGD has the best mean rank, "
        f"{found.arms[0].mean_rank.mean:.1f} of 3, {p}, but Adam is not ruled out. RMSProp is behind."
    )


def test_speed_in_steps_and_in_time() -> None:
    order = ["sgd", "adam"]
    level = [ranked(name, order, {"sgd": 150, "adam": 100}) for name in "ab"]
    assert speed_answer(overall(level)) == (
        "Adam is fastest to the targets in steps, score 1.00; SGD in time, score 1.00."
    )
    ahead = [ranked(name, order, {"sgd": 100, "adam": 125}) for name in "ab"]
    assert speed_answer(overall(ahead)) == (
        "SGD is fastest to the targets: score 1.00 in steps, 1.00 in time."
    )
    nobody = [ranked(name, order, {"sgd": inf, "adam": inf}) for name in "ab"]
    assert speed_answer(overall(nobody)) == "Nobody reached a target."
