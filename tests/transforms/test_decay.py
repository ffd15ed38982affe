"""Weight decay around any rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine import rules
from ravine.errors import SettingError
from ravine.transforms import decoupled, l2
from tests.cases import STEPS, TOLERANCE, Ravine, difference, walk
from tests.references import Array
from tests.transforms.walking import RUNS, walk_parts

UNDECAYED = [label for label, (rule, _, _) in RUNS.items() if "weight_decay" not in rule.defaults]


@pytest.mark.parametrize("label", UNDECAYED)
def test_l2_adds_the_penalty_to_the_cost(label: str) -> None:
    problem = Ravine()
    rule, loop, settings = RUNS[label]

    def gradient(theta: Array, k: int) -> Array:
        return problem.gradient(theta, k) + 0.3 * theta

    reference = loop(problem.start, gradient, STEPS, **settings)
    ours, _ = walk_parts(l2(0.3)(rule), problem.gradient, STEPS)
    assert difference(ours, reference) <= TOLERANCE


def test_l2_without_weight_is_the_rule_itself() -> None:
    problem = Ravine()
    assert np.array_equal(walk(l2(0.0)(rules.adam()), problem), walk(rules.adam(), problem))


def test_decoupled_adam_is_adamw() -> None:
    problem = Ravine()
    wrapped, named = decoupled(0.3)(rules.adam()), rules.adamw(weight_decay=0.3)
    assert wrapped.defaults == named.defaults
    assert np.array_equal(walk(wrapped, problem), walk(named, problem))


def test_decoupled_sgd_shrinks_before_the_step() -> None:
    problem, theta, path = Ravine(), Ravine().start, []
    for k in range(len(problem.noise)):
        theta = theta - 0.05 * 0.3 * theta - 0.05 * problem.gradient(theta, k)
        path.append(theta)
    ours = walk(decoupled(0.3)(rules.sgd(lr=0.05)), problem)
    assert difference(ours, np.array(path)) <= TOLERANCE


def test_decoupled_decay_leaves_the_averages_alone() -> None:
    param, grad = torch.randn(4), torch.randn(4)
    for rule in (rules.adam(), rules.nadam(), rules.rmsprop()):
        wrapped = decoupled(0.3)(rule)
        hyper = {k: torch.tensor(v) for k, v in wrapped.defaults.items()}
        state = rule.init(param)
        _, plain = rule.update(param, grad, state, hyper)
        _, decayed = wrapped.update(param, grad, state, hyper)
        assert all(torch.equal(plain[name], decayed[name]) for name in plain)


@pytest.mark.parametrize("wrap", [l2, decoupled])
def test_a_second_decay_is_refused(wrap: object) -> None:
    assert callable(wrap)
    with pytest.raises(SettingError, match=r"already has a weight decay.*instead of adamw"):
        wrap()(rules.adamw())
