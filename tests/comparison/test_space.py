"""With which configurations a search begins."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import qmc

from ravine import rules, schedules
from ravine.comparison.space import Configuration, grid, insist_on_trials, points, searched
from ravine.errors import SettingError
from ravine.training.procedure import Procedure


def test_grid_is_half_decades_around_the_default():
    assert grid(1e-3) == [1e-5, 3.162e-5, 1e-4, 3.162e-4, 1e-3, 3.162e-3, 1e-2, 3.162e-2, 0.1]


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_grid_needs_a_positive_rate(rate):
    with pytest.raises(SettingError, match="above 0"):
        grid(rate)


@pytest.mark.parametrize("trials", range(9, 31))
def test_a_finer_grid_is_even_and_reaches_as_far(trials):
    found = grid(0.02, trials)
    assert len(set(found)) == trials
    assert 0.02 in found
    assert min(found) <= 0.02 / 100
    assert max(found) == pytest.approx(0.02 * 100)
    steps = np.diff(np.log10(found))
    assert steps == pytest.approx(steps[0], abs=1e-3)  # of rates to four digits
    assert steps[0] == pytest.approx(2 / ((trials - 1) // 2), abs=1e-3)


@pytest.mark.parametrize("trials", [8, 0, -3, True, 9.0, 10_001])
def test_other_numbers_of_trials_are_refused(trials):
    with pytest.raises(SettingError, match=r"--trials .*; expected a whole number from 9 .*type"):
        insist_on_trials(trials)


ALL = [Procedure.of(rules.get(name)) for name in rules.REGISTRY]


@pytest.mark.parametrize("arm", ALL, ids=lambda arm: arm.name)
@pytest.mark.parametrize("trials", [9, 24, 25, 40])
def test_the_default_is_always_among_the_points(arm, trials):
    found = points(arm, trials, 7)
    assert len(set(found)) == len(found) == trials
    assert found.count(Configuration.of(arm.rule.defaults)) == 1
    assert all(set(one.hyper) == set(arm.rule.defaults) for one in found)


@pytest.mark.parametrize("arm", ALL, ids=lambda arm: arm.name)
def test_points_lie_where_the_rule_is_searched(arm):
    """The rate in the four decades of the grid, the others in their spans; the rest at its default."""
    spans, default = searched(arm, 25), arm.rule.defaults
    assert set(spans) <= set(default) - {"lr"}
    for name, span in spans.items():
        assert span.lo <= default[name] <= span.hi
        assert span.source
    for one in points(arm, 101, 3):
        assert default["lr"] / 100.1 <= one.lr <= default["lr"] * 100.1
        for name, value in one.other:
            if name in spans:
                assert spans[name].lo <= value <= spans[name].hi
            else:
                assert value == default[name]


def test_halton_points_are_scipys():
    """Adam's four coordinates: log lr, log(1-β₁), log(1-β₂), log ε, by hand from the unit cube."""
    unit = qmc.Halton(4, scramble=True, seed=np.random.default_rng(5)).random(40)
    found = [one.hyper for one in points(Procedure.of(rules.adam()), 41, 5)][1:]
    for (a, b, c, d), hyper in zip(unit, found, strict=True):
        assert hyper["lr"] == pytest.approx(1e-5 * 10 ** (4 * a), rel=1e-3)
        assert 1 - hyper["beta1"] == pytest.approx(0.5 * (0.004 / 0.5) ** b, rel=1e-3)
        assert 1 - hyper["beta2"] == pytest.approx(0.1 * (1e-4 / 0.1) ** c, rel=1e-3)
        assert hyper["eps"] == pytest.approx(1e-10 * 10 ** (7 * d), rel=1e-3)


def test_points_follow_from_the_seed_and_may_be_cut_short():
    arm = Procedure.of(rules.adam())
    assert points(arm, 30, 5) == points(arm, 30, 5)
    assert points(arm, 60, 5)[:30] == points(arm, 30, 5)
    assert points(arm, 30, 5)[1:] != points(arm, 30, 6)[1:]


def test_one_seed_gives_all_rules_the_same_rates_relative_to_their_defaults():
    momentum, signum = (Procedure.of(rules.get(name)) for name in ("momentum", "signum"))
    for one, other in zip(points(momentum, 25, 0), points(signum, 25, 0), strict=True):
        assert one.lr / 1e-3 == pytest.approx(other.lr / 1e-4, rel=1e-3)
        assert dict(one.other)["momentum"] == dict(other.other)["momentum"]


def test_what_the_default_switches_off_or_a_schedule_sets_is_not_searched():
    adamw = rules.adamw(weight_decay=0)
    assert set(searched(Procedure.of(adamw), 25)) == {"beta1", "beta2", "eps"}
    set_by = Procedure("a", "A", rules.adam(), schedules={"beta1": schedules.constant()})
    assert set(searched(set_by, 25)) == {"beta2", "eps"}
    assert searched(Procedure.of(rules.adam()), 24) == {}
    fixed = replace(rules.adam(), tunable={})
    assert [one.lr for one in points(Procedure.of(fixed), 25, 0)] == grid(1e-3, 25)


@pytest.mark.parametrize(
    ("scale", "middle"), [("linear", 0.725), ("log", math.sqrt(0.45)), ("complement", 0.776393)]
)
def test_spans_are_even_on_their_scale(scale, middle):
    span = (
        rules.Span(0.5, 0.9, scale, "") if scale != "linear" else rules.Span(0.55, 0.9, scale, "")
    )
    assert span.at(0.5) == pytest.approx(middle, abs=5e-5)
    assert (span.at(0), span.at(1)) == (span.lo, span.hi)
