"""Gradient accumulation around any rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ravine import rules
from ravine.errors import SettingError
from ravine.transforms import accumulate
from tests.cases import STEPS, TOLERANCE, Ravine, difference
from tests.references import Array
from tests.transforms.walking import RUNS, renewing, walk_parts

PROBLEM = Ravine()


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("label", RUNS)
def test_the_rule_steps_on_the_mean(label: str, k: int) -> None:
    rule, loop, settings = RUNS[label]

    def mean(theta: Array, step: int) -> Array:
        grads = [PROBLEM.gradient(theta, step * k + i) for i in range(k)]
        return np.mean(grads, axis=0)

    reference = loop(PROBLEM.start, mean, STEPS // k, **settings)
    path = walk_parts(accumulate(k)(rule), PROBLEM.gradient, STEPS)[0]
    assert difference(path[k - 1 :: k], reference) <= TOLERANCE
    if k > 1:
        for i in range(k - 1, STEPS - k + 1, k):
            assert (path[i : min(i + k, STEPS)] == path[i]).all()


def test_the_rule_counts_its_own_steps() -> None:
    rule = accumulate(4)(rules.adam())
    param = torch.ones(3)
    state = rule.init(param)
    hyper = {name: torch.tensor(value) for name, value in rule.defaults.items()}
    steps, gathered = [], []
    for _ in range(9):
        param, state = rule.update_for(state)(param, torch.ones(3), state, hyper)
        steps.append(int(state["step"]))
        gathered.append(int(state["accumulated"]))
    assert steps == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert gathered == [1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_update_itself_gathers_and_steps_too() -> None:
    rule = accumulate(2)(renewing())
    hyper = {name: torch.tensor(value) for name, value in rule.defaults.items()}
    one = two = torch.ones(3)
    s1 = s2 = rule.init(one)
    for k in range(8):
        grad = torch.full((3,), 1.0 + k)
        one, s1 = rule.update(one, grad, s1, hyper)
        two, s2 = rule.update_for(s2)(two, grad, s2, hyper)
        assert torch.equal(one, two)
    assert int(s1["step"]) == 4


def test_a_long_sum_of_narrow_gradients_keeps_its_digits() -> None:
    """512 ones: in bfloat16 the sum would stop at 256."""
    rule = accumulate(512)(rules.sgd(lr=1.0))
    param = torch.zeros(1, dtype=torch.bfloat16)
    state = rule.init(param)
    for _ in range(512):
        param, state = rule.update_for(state)(
            param, torch.ones_like(param), state, {"lr": torch.tensor(1.0)}
        )
    assert param.tolist() == [-1.0]


@pytest.mark.parametrize("steps", [0, -1, 2.0, True, "4"])
def test_other_numbers_of_steps_are_refused(steps: Any) -> None:
    with pytest.raises(SettingError, match=r"steps=.* whole number of at least 1.*accumulate\(4\)"):
        accumulate(steps)
