"""A rule whose parameter is the point at which its gradient is taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ravine import rules
from ravine.rules import at_param
from ravine.transforms import at_probe, chain, clip_norm, decoupled, in_float32, l2
from tests.cases import STEPS, TOLERANCE, Case, Ravine, difference
from tests.references import Array
from tests.transforms.walking import ELEMENTWISE, OWN, shared_reference, walk_parts

PROBLEM = Ravine()
AWAY = [case for case in ELEMENTWISE if case.rule.probe is not at_param]


@pytest.mark.parametrize("case", AWAY, ids=lambda case: case.label)
def test_theta_goes_the_rules_way(case: Case) -> None:
    rule = at_probe(case.rule)
    assert rule.probe is at_param
    seen = []

    def gradient(theta: Array, k: int) -> Array:
        seen.append(theta)
        return PROBLEM.gradient(theta, k)

    reference = case.reference(PROBLEM.start, gradient, STEPS, **case.all_settings)
    probes = np.array([*seen[1:], seen[0]])  # the gradient of step k+1 is taken where step k ends
    path, outputs = walk_parts(rule, PROBLEM.gradient, STEPS)
    assert difference(outputs, reference) <= TOLERANCE
    assert difference(path[:-1], probes[:-1]) <= TOLERANCE


def test_nesterov_at_its_probe_is_torchs_form() -> None:
    path, _ = walk_parts(at_probe(rules.nesterov(lr=0.01)), PROBLEM.gradient, STEPS)
    buffer, _ = walk_parts(rules.nesterov_buffer(lr=0.01), PROBLEM.gradient, STEPS)
    assert difference(path, buffer) <= TOLERANCE


def test_rules_without_a_probe_come_back_as_they_are() -> None:
    rule = rules.adam()
    assert at_probe(rule) is rule


def test_one_rule_gives_one_object() -> None:
    rule = rules.nesterov()
    assert at_probe(rule) is at_probe(rule)
    assert at_probe(rule) is not at_probe(rules.nesterov())


def test_everything_inside_speaks_of_theta() -> None:
    """Totals, penalty and decay: as the same chain walked with the probe outside."""
    inner = chain(clip_norm(0.5), l2(0.1), rules.nesterov(lr=0.05))
    theta, _ = walk_parts(inner, PROBLEM.gradient, STEPS)
    _, outputs = walk_parts(at_probe(inner), PROBLEM.gradient, STEPS)
    assert difference(outputs, theta) <= TOLERANCE
    inner = decoupled(0.3)(rules.nesterov(lr=0.05))
    theta, _ = walk_parts(inner, PROBLEM.gradient, STEPS)
    _, outputs = walk_parts(at_probe(inner), PROBLEM.gradient, STEPS)
    assert difference(outputs, theta) <= TOLERANCE
    in_float64 = at_probe(in_float32()(inner))
    assert np.array_equal(walk_parts(in_float64, PROBLEM.gradient, STEPS)[1], outputs)


def test_totals_are_summed_at_theta() -> None:
    """`shared` sums θ² over all parameters; its gradient here is taken 0.5 beside θ."""
    rule = replace(
        OWN["shared"][0],
        init=lambda param: {"moved": param * 0},
        update=lambda p, g, s, h: (
            OWN["shared"][0].update(p, g, s, h)[0],
            {"moved": s["moved"] + 1},
        ),
        probe=lambda p, s, h: p + 0.5 * (s["moved"] > 0),
    )

    def beside(theta: Array, k: int) -> Array:
        return PROBLEM.gradient(theta + 0.5 * (k > 0), k)

    reference = shared_reference(PROBLEM.start, beside, STEPS, lr=0.1)
    _, outputs = walk_parts(at_probe(rule), PROBLEM.gradient, STEPS)
    assert difference(outputs, reference) <= TOLERANCE
