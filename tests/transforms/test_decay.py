"""Weight decay around any rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine import rules
from ravine.errors import SettingError
from ravine.transforms import decoupled, l2
from tests.cases import CASES, TOLERANCE, Case, Ravine, difference, walk
from tests.references import Array

UNDECAYED = [case for case in CASES if "weight_decay" not in case.rule.defaults]


@pytest.mark.parametrize("case", UNDECAYED, ids=lambda case: case.label)
def test_l2_adds_the_penalty_to_the_cost(case: Case) -> None:
    problem = Ravine()

    def gradient(theta: Array, k: int) -> Array:
        return problem.gradient(theta, k) + 0.3 * theta

    reference = case.reference(problem.start, gradient, len(problem.noise), **case.all_settings)
    assert difference(walk(l2(case.rule, 0.3), problem), reference) <= TOLERANCE


def test_l2_without_weight_is_the_rule_itself() -> None:
    problem = Ravine()
    assert np.array_equal(walk(l2(rules.adam(), 0.0), problem), walk(rules.adam(), problem))


def test_decoupled_adam_is_adamw() -> None:
    problem = Ravine()
    wrapped, named = decoupled(rules.adam(), 0.3), rules.adamw(weight_decay=0.3)
    assert wrapped.defaults == named.defaults
    assert np.array_equal(walk(wrapped, problem), walk(named, problem))


def test_decoupled_sgd_shrinks_before_the_step() -> None:
    problem, theta, path = Ravine(), Ravine().start, []
    for k in range(len(problem.noise)):
        theta = theta - 0.05 * 0.3 * theta - 0.05 * problem.gradient(theta, k)
        path.append(theta)
    ours = walk(decoupled(rules.sgd(lr=0.05), 0.3), problem)
    assert difference(ours, np.array(path)) <= TOLERANCE


def test_decoupled_decay_leaves_the_averages_alone() -> None:
    param, grad = torch.randn(4), torch.randn(4)
    for rule in (rules.adam(), rules.nadam(), rules.rmsprop()):
        wrapped = decoupled(rule, 0.3)
        hyper = {k: torch.tensor(v) for k, v in wrapped.defaults.items()}
        state = rule.init(param)
        _, plain = rule.update(param, grad, state, hyper)
        _, decayed = wrapped.update(param, grad, state, hyper)
        assert all(torch.equal(plain[name], decayed[name]) for name in plain)


@pytest.mark.parametrize("wrap", [l2, decoupled])
def test_a_second_decay_is_refused(wrap: object) -> None:
    assert callable(wrap)
    with pytest.raises(SettingError, match=r"already has a weight decay.*instead of adamw"):
        wrap(rules.adamw())
