"""Which configurations are kept, chosen and added."""

from __future__ import annotations

import pytest

from ravine.comparison.search import WORST, best, extension, kept, survivors, unsettled
from ravine.comparison.space import Configuration, tidy


def rates(*values):
    """Configurations that differ in the learning rate only."""
    return [Configuration(float(value)) for value in values]


def scores(*values):
    """Scores for the rates 1, 2, 3, ...; None diverged."""
    return {
        Configuration(float(i + 1)): WORST if v is None else (v, 0.0) for i, v in enumerate(values)
    }


def scattered(*pairs):
    """Scores for (rate, value), each with a momentum of its own."""
    return {
        Configuration(lr, (("momentum", 0.5 + 0.01 * i),)): WORST if v is None else (v, 0.0)
        for i, (lr, v) in enumerate(pairs)
    }


def test_survivors_are_the_best_third_but_three_at_least():
    assert survivors(scores(9, 8, 1, 2, 3, 7, 6, 5, 4)) == rates(2, 3, 4)
    assert survivors(scores(5, 1, 2, 3, 9, 9, 9, 9, 9, 9)) == rates(1, 2, 3, 4)
    assert [kept(n) for n in (1, 3, 9, 10, 25, 27)] == [1, 3, 3, 4, 9, 9]


def test_survivors_include_the_next_lower_rate():
    assert survivors(scores(9, 8, 7, 1, 2, 3, None, None, None)) == rates(3, 4, 5)
    assert survivors(scores(1, 2, 3, 4, 5, 6, 7, 8, 9)) == rates(1, 2, 3)


def test_survivors_that_differ_in_more_include_the_best_of_the_lower_rates():
    """The next lower rate, 3, did worst; of the lower ones the rate 1 did best."""
    found = scattered((4.0, 1), (5.0, 2), (6.0, 3), (3.0, 9), (1.0, 7), (2.0, 8), (7.0, 4))
    assert [one.lr for one in survivors(found)] == [1.0, 4.0, 5.0]
    found = scattered((4.0, 1), (5.0, 3), (6.0, 4), (3.0, 9), (1.0, 2), (2.0, 8), (7.0, 5))
    assert [one.lr for one in survivors(found)] == [1.0, 4.0, 5.0]


def test_a_diverged_rate_ranks_last_but_is_kept_if_too_few_are_left():
    assert survivors(scores(1, None, None, None)) == rates(1, 2, 3)


def test_the_cost_breaks_ties_and_then_the_lower_rate_wins():
    one, two = rates(1, 2)
    assert best({one: (0.1, 0.5), two: (0.1, 0.4)}) == two
    assert best({two: (0.1, 0.4), one: (0.1, 0.4)}) == one


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((1, 2, 3), "the lowest tried"),
        ((3, 2, 1), "the highest tried"),
        ((3, 1, 2), None),
        ((3, 1, None), "next to one that diverged"),
    ],
)
def test_unsettled(values, reason):
    tried = {Configuration(10.0**one.lr): score for one, score in scores(*values).items()}
    assert unsettled(best(tried), tried) == reason


def test_a_quarter_decade_below_divergence_is_settled():
    low, high, beyond = rates(1, 10, tidy(10 * 10**0.25))
    assert unsettled(high, {low: (2.0, 0.0), high: (1.0, 0.0), beyond: WORST}) is None


def test_extension_goes_beyond_an_edge_or_between_neighbours():
    low, middle, high = rates(1, 10, 100)
    tried = {low: (1.0, 0.0), middle: (2.0, 0.0), high: (3.0, 0.0)}
    assert extension(low, tried) == rates(0.1, 0.3162)
    assert extension(high, tried) == rates(316.2, 1000)
    assert extension(middle, tried) == rates(3.162, 31.62)


@pytest.mark.parametrize(
    ("rate", "reason", "added"),
    [
        (2.0, "within half a decade of the lowest tried", [0.2, 0.6325]),
        (50.0, "within half a decade of the highest tried", [158.1, 500.0]),
        (10.0, None, [3.162, 31.62]),
    ],
)
def test_a_best_that_has_no_neighbour_has_to_lie_inside_of_all_rates(rate, reason, added):
    """Others tried, with other values of the momentum, reach from 1 to 100."""
    tried = scattered((1.0, 5), (rate, 1), (100.0, None))
    chosen = best(tried)
    assert unsettled(chosen, tried) == reason
    assert extension(chosen, tried) == [chosen.at(lr) for lr in added]


def test_the_best_is_held_against_its_own_values_once_there_are_neighbours():
    """Rates of 3 and 30 were added to the best, 10; those of other values do not count any more."""
    tried = scattered((9.0, 2), (10.0, 1), (11.0, None))
    chosen = best(tried)
    tried |= {chosen.at(3.0): (2.0, 0.0), chosen.at(30.0): (3.0, 0.0)}
    assert unsettled(chosen, tried) is None
    tried[chosen.at(30.0)] = WORST
    assert unsettled(chosen, tried) == "next to one that diverged"
    assert extension(chosen, tried) == [chosen.at(5.477), chosen.at(17.32)]
    tried[chosen.at(30.0)] = (0.5, 0.0)
    assert unsettled(best(tried), tried) == "the highest tried"
