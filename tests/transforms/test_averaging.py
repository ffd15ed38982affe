"""Averages of the iterates around any rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ravine import Optimizer, rules
from ravine.engines import eager
from ravine.engines.block.engine import BlockEngine
from ravine.engines.eager import EagerEngine
from ravine.engines.native.engine import NativeEngine
from ravine.engines.population import Kernels, PopulationEngine
from ravine.errors import SettingError
from ravine.rules import at_param
from ravine.transforms import (
    at_probe,
    chain,
    exponential_average,
    in_float32,
    polyak,
    stochastic_weight_average,
)
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


def mean_of_some(path: Array, start: int, every: int) -> Array:
    """θ̄ after every step, by NumPy's mean."""
    means = []
    for t in range(1, len(path) + 1):
        taken = path[start + every - 1 : t : every]
        means.append(taken.mean(axis=0) if len(taken) else path[t - 1])
    return np.array(means)


@pytest.mark.parametrize(("start", "every"), [(0, 4), (7, 3), (20, 30), (60, 5)])
@pytest.mark.parametrize("label", PLAIN)
def test_swa_is_the_mean_of_every_cth_point_of_the_path(label: str, start: int, every: int) -> None:
    path = path_of(label)
    rule = stochastic_weight_average(start, every)(RUNS[label][0])
    ours, outputs = walk_parts(rule, PROBLEM.gradient, STEPS)
    assert difference(ours, path) <= TOLERANCE
    assert difference(outputs, mean_of_some(path, start, every)) <= TOLERANCE


@pytest.mark.parametrize("start", [0, 7])
def test_polyak_is_swa_at_every_step(start: int) -> None:
    one = walk_parts(polyak(start)(rules.adam(lr=0.1)), PROBLEM.gradient, STEPS)
    other = walk_parts(
        stochastic_weight_average(start, 1)(rules.adam(lr=0.1)), PROBLEM.gradient, STEPS
    )
    assert np.array_equal(one[1], other[1])


def learn(model: nn.Module, optimizer: Any, steps: int, after: Callable[[int], None]) -> None:
    generator = torch.Generator().manual_seed(1)
    for t in range(1, steps + 1):
        x = torch.randn(8, 3, generator=generator, dtype=torch.float64)
        optimizer.zero_grad()
        (model(x) - x.sum(dim=1, keepdim=True)).square().mean().backward()
        optimizer.step()
        after(t)


@pytest.mark.parametrize("engine", ["eager", "auto", "compiled"])
def test_swa_is_torchs_averaged_model(engine: str) -> None:
    start, every, steps = 6, 5, 33
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    theirs, averaged = deepcopy(ours), AveragedModel(ours)

    def update(t: int) -> None:
        if t > start and (t - start) % every == 0:
            averaged.update_parameters(theirs)

    learn(theirs, torch.optim.Adam(theirs.parameters(), lr=0.05), steps, update)
    rule = chain(rules.adam(lr=0.05), stochastic_weight_average(start, every))
    optimizer = Optimizer(ours.parameters(), rule, engine=engine)
    learn(ours, optimizer, steps, lambda t: None)
    optimizer.eval()
    assert int(averaged.n_averaged) == 5
    for mine, other in zip(ours.parameters(), averaged.module.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-13)
    optimizer.train()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "make",
    [EagerEngine, NativeEngine, lambda r, s: BlockEngine(r, s, compiled=True)],
    ids=["eager", "native", "compiled blocks"],
)
def test_swa_in_every_engine(make: Callable[[Any, Any], Any]) -> None:
    """Also in float32, in which counts are held: whole numbers, so nothing is lost."""
    start, every = 2, 3
    rule = stochastic_weight_average(start, every)(rules.momentum(lr=0.1))
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        param = nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=dtype))
        states: Any = defaultdict(dict)
        engine, hyper, path = make(rule, states), eager.hyper_tensors(rule.defaults), []
        for _ in range(20):
            engine.arrange([param])
            engine.step([param.detach().clone()], dict(hyper))
            path.append(param.detach().double().numpy().copy())
            output = eager.output(rule, param.detach(), states[param], hyper).double().numpy()
            expected = mean_of_some(np.array(path), start, every)[-1]
            assert difference(output[None], expected[None]) <= tolerance


@pytest.mark.parametrize("compiled", [False, True])
def test_members_of_a_population_average_by_their_own_settings(compiled: bool) -> None:
    rule = stochastic_weight_average(0, 1)(rules.momentum())
    settings = [(0, 1), (0, 4), (5, 3), (30, 2)]
    hyper = [
        {**rule.defaults, "lr": 0.1, "average_start": start, "average_every": every}
        for start, every in settings
    ]
    weights = torch.linspace(-1, 2, 20, dtype=torch.float64).reshape(4, 5).clone()
    engine = PopulationEngine(rule, hyper, weights, [torch.Size((5,))])
    paths, kernels = [], Kernels() if compiled else None
    for _ in range(25):
        engine.step(weights.clone(), kernels)
        paths.append(weights.numpy().copy())
    for member, (start, every) in enumerate(settings):
        expected = mean_of_some(np.array(paths)[:, member], start, every)[-1]
        assert difference(engine.output()[member].numpy()[None], expected[None]) <= TOLERANCE


@pytest.mark.parametrize(("start", "every"), [(-1, 1), (0, 0), (0, 2.5), (1.0, 1), (0, True)])
def test_settings_of_swa_that_are_no_numbers_of_steps(start: Any, every: Any) -> None:
    with pytest.raises(SettingError, match=r"pass a whole number .*stochastic_weight_average\("):
        stochastic_weight_average(start, every)
