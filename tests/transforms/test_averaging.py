"""Averages of the iterates around any rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine import rules
from ravine.rules import at_param
from ravine.transforms import at_probe, exponential_average, in_float32, polyak
from tests.cases import STEPS, TOLERANCE, Ravine, difference, hyper_of
from tests.references import Array
from tests.transforms.walking import RUNS, walk_parts

PROBLEM = Ravine()
PLAIN = [label for label, (rule, _, _) in RUNS.items() if rule.output is at_param]


def path_of(label: str) -> Array:
    _, loop, settings = RUNS[label]
    path: Array = loop(PROBLEM.start, PROBLEM.gradient, STEPS, **settings)
    return path


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("label", PLAIN)
def test_polyak_is_the_mean_of_the_path(label: str, start: int) -> None:
    path = path_of(label)
    means = [path[start : t + 1].mean(axis=0) if t >= start else path[t] for t in range(STEPS)]
    ours, outputs = walk_parts(polyak(start)(RUNS[label][0]), PROBLEM.gradient, STEPS)
    assert difference(ours, path) <= TOLERANCE
    assert difference(outputs, np.array(means)) <= TOLERANCE


@pytest.mark.parametrize("label", PLAIN)
def test_exponential_average_is_the_weighted_mean_of_the_path(label: str) -> None:
    path, means = path_of(label), []
    for t in range(1, STEPS + 1):
        weights = 0.9 ** np.arange(t - 1, -1, -1.0)
        means.append(weights @ path[:t] / weights.sum())
    rule = exponential_average(0.9)(RUNS[label][0])
    ours, outputs = walk_parts(rule, PROBLEM.gradient, STEPS)
    assert difference(ours, path) <= TOLERANCE
    assert difference(outputs, np.array(means)) <= TOLERANCE


def test_polyak_is_torchs_asgd() -> None:
    """torch begins its mean one step later than its t0 says, and keeps 1/t in float32."""
    param = torch.from_numpy(PROBLEM.start.copy()).requires_grad_()
    theirs = torch.optim.ASGD([param], lr=2**-4, lambd=0.0, alpha=0.0, t0=4)
    averages = []
    for k in range(STEPS):
        param.grad = PROBLEM.gradient_at(param, k)
        theirs.step()
        averages.append(theirs.state[param]["ax"].numpy().copy())
    _, outputs = walk_parts(polyak(5)(rules.sgd(lr=2**-4)), PROBLEM.gradient, STEPS)
    assert difference(outputs, np.array(averages)) <= 1e-7


def test_the_average_is_of_the_inner_output() -> None:
    """A mean of means; and at_probe, whose output is θ and not the parameter."""
    path = path_of("sgd()")
    means = np.cumsum(path, axis=0) / np.arange(1, STEPS + 1)[:, None]
    inner = polyak()(rules.sgd())
    outer = exponential_average(0.0)  # ρ = 0 keeps the latest alone
    with pytest.raises(Exception, match="average"):
        outer(inner).init(torch.zeros(1))
    assert difference(walk_parts(inner, PROBLEM.gradient, STEPS)[1], means) <= TOLERANCE
    path = path_of("nesterov()")
    means = np.cumsum(path, axis=0) / np.arange(1, STEPS + 1)[:, None]
    rule = polyak()(at_probe(rules.nesterov()))
    assert difference(walk_parts(rule, PROBLEM.gradient, STEPS)[1], means) <= TOLERANCE
    rule = at_probe(polyak()(rules.nesterov()))
    assert difference(walk_parts(rule, PROBLEM.gradient, STEPS)[1], means) <= TOLERANCE


def test_the_average_of_narrow_parameters_moves() -> None:
    """From 1 towards 2 by 1/1000 per step; in bfloat16 no such change would register."""
    for wrap in (lambda rule: rule, in_float32()):
        rule = wrap(exponential_average(0.999)(rules.sgd(lr=0.0)))
        hyper = hyper_of(rule)
        param = torch.ones(3, dtype=torch.bfloat16)
        _, state = rule.update(param, torch.zeros_like(param), rule.init(param), hyper)
        state["averaged"].fill_(1e6)
        for _ in range(500):
            param = torch.full_like(param, 2.0)
            _, state = rule.update(param, torch.zeros_like(param), state, hyper)
        exact = 2 - 0.999**500
        assert state["average"].tolist() == pytest.approx([exact] * 3, rel=1e-5)
        assert rule.output(param, state, hyper).dtype is torch.bfloat16
