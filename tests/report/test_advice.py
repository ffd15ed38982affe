"""The answer of a comparison, sentence by sentence."""

from __future__ import annotations

from dataclasses import replace

from ravine.comparison.records import Arm, Interval, RateScore
from ravine.report import answer
from tests.report.builders import ADAM, RMS, SGD, arm, parts, verdict


def likely(of: Arm, p_best: float, diverged: int = 0) -> Arm:
    return replace(of, p_best=p_best, final_diverged=diverged)


def test_answer_of_a_winner():
    arms = [ADAM, *(arm(name, name) for name in "bcdef")]
    assert answer(verdict(*arms, best=("adam",))) == (
        "Use Adam with learning rate 0.001: its error rate on fresh seeds is 2.1% [1.8%, 2.4%], "
        "and it is the best of 6 optimizers with P = 0.97."
    )


def test_answer_of_a_winner_whose_metric_is_maximized():
    best = arm("sgd", "SGD", hyper={"lr": 0.1, "momentum": 0.9}, p_best=0.9991)
    best = replace(best, validation=Interval(0.979, 0.976, 0.982))
    of = verdict(best, ADAM, best=("sgd",), metric="accuracy", maximize=True)
    assert answer(of) == (
        "Use SGD with learning rate 0.1: its accuracy on fresh seeds is "
        "97.9% [97.6%, 98.2%], and it is the best of 2 optimizers with P > 0.99."
    )


def test_answer_of_a_winner_with_diverged_seeds():
    for n, said in ((3, "3 of its 20 runs"), (1, "1 of its 20 runs")):
        text = answer(verdict(likely(ADAM, 0.981, n), SGD, best=("adam",)))
        assert text == (
            "Use Adam with learning rate 0.001: its error rate on fresh seeds is 2.1% [1.8%, 2.4%], "
            f"and it is the best of 2 optimizers with P = 0.98. But {said} diverged and count as "
            "the worst value there is."
        )


def test_answer_names_a_probable_winner():
    arms = likely(RMS, 0.86), likely(SGD, 0.13), likely(ADAM, 0.01)
    assert answer(verdict(*arms, best=("rmsprop", "sgd"))) == (
        "No certain winner: RMSProp (learning rate 0.00316) is probably best, P = 0.86, but "
        "SGD (0.3) is not ruled out after 20 fresh seeds. Adam is behind."
    )
    assert answer(verdict(*arms, best=("rmsprop", "sgd", "adam"))) == (
        "No certain winner: RMSProp (learning rate 0.00316) is probably best, P = 0.86, but "
        "SGD (0.3) and Adam (0.001) are not ruled out after 20 fresh seeds."
    )


def test_the_probable_winner_need_not_have_the_best_mean():
    arms = likely(ADAM, 0.28), likely(RMS, 0.72)
    assert answer(verdict(*arms, best=("adam", "rmsprop"), final_seeds=(7,))) == (
        "No certain winner: RMSProp (learning rate 0.00316) is probably best, P = 0.72, but "
        "Adam (0.001) is not ruled out after 1 fresh seed."
    )


def test_answer_of_a_tie():
    arms = likely(ADAM, 0.69), likely(RMS, 0.30), likely(SGD, 0.01)
    assert answer(verdict(*arms, best=("adam", "rmsprop"))) == (
        "No single winner: Adam (learning rate 0.001) and RMSProp (0.00316) cannot be told apart "
        "after 20 fresh seeds; either is a good choice. SGD is behind."
    )


def test_answer_of_a_tie_with_many_behind():
    behind = [arm(name, name.upper()) for name in "abcdefgh"]
    text = answer(verdict(likely(ADAM, 0.5), likely(RMS, 0.4), *behind, best=("adam", "rmsprop")))
    assert text.endswith("either is a good choice. A, B, C, D, E, F and 2 more are behind.")


def test_answer_of_a_tie_of_all():
    arms = likely(ADAM, 0.4), likely(RMS, 0.3), likely(SGD, 0.3)
    assert answer(verdict(*arms, best=("adam", "rmsprop", "sgd"))) == (
        "No single winner: all 3 optimizers, Adam (learning rate 0.001), RMSProp (0.00316) and "
        "SGD (0.3), cannot be told apart after 20 fresh seeds; any of them is a good choice."
    )
    assert answer(verdict(arms[0], arms[2], best=("adam", "sgd"), final_seeds=(7,))) == (
        "No single winner: both optimizers, Adam (learning rate 0.001) and SGD (0.3), cannot be "
        "told apart after 1 fresh seed; either is a good choice."
    )


def test_diverged_seeds_are_marked_where_nobody_wins():
    arms = likely(RMS, 0.86, 2), likely(SGD, 0.13, 3), likely(ADAM, 0.01, 1)
    assert answer(verdict(*arms, best=("rmsprop", "sgd"))) == (
        "No certain winner: RMSProp (learning rate 0.00316; 2 of 20 diverged) is probably best, "
        "P = 0.86, but SGD (0.3; 3 of 20 diverged) is not ruled out after 20 fresh seeds. "
        "Adam (1 of 20 diverged) is behind."
    )
    arms = likely(ADAM, 0.6), likely(SGD, 0.4, 3)
    assert answer(verdict(*arms, best=("adam", "sgd"))) == (
        "No single winner: both optimizers, Adam (learning rate 0.001) and SGD (0.3; 3 of 20 "
        "diverged), cannot be told apart after 20 fresh seeds."
    )


def test_an_optimizer_that_diverged_on_every_seed_is_never_recommended():
    lost = likely(SGD, 0.2, 20)
    arms = likely(ADAM, 0.45), likely(RMS, 0.35), lost
    assert answer(verdict(*arms, best=("adam", "rmsprop", "sgd"))) == (
        "No single winner: Adam (learning rate 0.001) and RMSProp (0.00316) cannot be told apart "
        "after 20 fresh seeds; either is a good choice. SGD diverged."
    )
    assert answer(verdict(likely(ADAM, 0.6), lost, best=("adam", "sgd"))) == (
        "No certain winner: Adam (learning rate 0.001) did best, P = 0.60, but "
        "SGD (0.3; diverged) is not ruled out after 20 fresh seeds."
    )
    other = likely(arm("lion", "Lion"), 0.0)
    assert answer(verdict(*arms[:2], other, lost, best=("adam", "rmsprop"))).endswith(
        "either is a good choice. Lion is behind. SGD diverged."
    )


def test_answer_where_nothing_was_compared():
    assert answer(verdict(ADAM, best=("adam",))) == (
        "Adam with learning rate 0.001: its error rate on fresh seeds is 2.1% [1.8%, 2.4%]; "
        "no other optimizer was compared with it."
    )


def test_answer_where_nothing_trained():
    arms = likely(ADAM, 0.5, 20), likely(SGD, 0.5, 20)
    assert answer(verdict(*arms, best=("adam", "sgd"))) == (
        "No optimizer trained this recipe: every run on fresh seeds diverged. "
        "Check the data, the cost and the initialization."
    )
    never = (RateScore(0.001, None, None, 100, "diverged"),)
    arms = tuple(replace(one, rates=never) for one in arms)
    assert answer(verdict(*arms, best=("adam", "sgd"))) == (
        "No optimizer trained this recipe: runs diverged even at the lowest learning rates tried. "
        "Check the data, the cost and the initialization."
    )


def test_a_metric_without_a_name_is_called_metric():
    assert answer(verdict(ADAM, SGD, best=("adam",), metric="<lambda>")).startswith(
        "Use Adam with learning rate 0.001: its metric on fresh seeds is 0.021 ["
    )


def test_what_all_arms_have_in_common_is_said():
    """A learning rate is for the start and the schedule that it was found with."""
    common = parts("adam", init="he_normal", schedule="cosine")
    of = verdict(replace(ADAM, parts=common), replace(SGD, parts=common), best=("adam",))
    assert answer(of).endswith(" All of them with start he_normal and schedule cosine.")


def test_what_goes_without_saying_is_not():
    assert "All of them" not in answer(verdict(ADAM, SGD, best=("adam",)))
