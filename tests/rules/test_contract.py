"""What every rule promises to every engine: dtype, shape, purity, broadcasting, vmap, compiling."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ravine.rules import Rule, State
from tests.cases import CASES, Case, hyper_of

MEMBERS, SIZE = 3, 5


def random(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)


@pytest.fixture(params=CASES, ids=lambda case: case.label)
def rule(request: pytest.FixtureRequest) -> Rule:
    case: Case = request.param
    return case.rule


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4,), (2, 3), (1,), (0,), (2, 1, 3)])
def test_keeps_dtype_and_shape(rule: Rule, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    param, grad = random(*shape, dtype=dtype), random(*shape, dtype=dtype, seed=1)
    first, hyper = rule.init(param), hyper_of(rule)
    theta, state = param, first
    for _ in range(3):
        theta, state = rule.update(theta, grad, state, hyper)
        for point in (theta, rule.probe(theta, state, hyper), rule.output(theta, state, hyper)):
            assert (point.dtype, point.shape) == (dtype, param.shape)
        assert {name: (entry.dtype, entry.shape) for name, entry in state.items()} == {
            name: (entry.dtype, entry.shape) for name, entry in first.items()
        }
    assert theta.isfinite().all()


def test_state_entries_are_like_the_parameter_or_scalar(rule: Rule) -> None:
    param = random(2, 3)
    assert all(entry.shape in (param.shape, ()) for entry in rule.init(param).values())


def test_is_pure(rule: Rule) -> None:
    param, grad, hyper = random(4), random(4, seed=1), hyper_of(rule)
    _, state = rule.update(param, grad, rule.init(param), hyper)
    inputs = [param, grad, *state.values(), *hyper.values()]
    before = [entry.clone() for entry in inputs]
    once = rule.update(param, grad, state, hyper)
    again = rule.update(param, grad, state, hyper)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))
    assert torch.equal(once[0], again[0])
    written = {entry.data_ptr() for entry in (once[0], *once[1].values())}
    assert not written & {entry.data_ptr() for entry in inputs}


def member_hypers(rule: Rule) -> list[dict[str, Tensor]]:
    """Hyperparameters of every member, all different."""
    alone = hyper_of(rule)
    return [
        {name: value * (1 - 0.05 * member) for name, value in alone.items()}
        for member in range(MEMBERS)
    ]


def walk_alone(rule: Rule, params: Tensor, grads: Tensor) -> list[tuple[Tensor, State]]:
    ends = []
    for member, hyper in enumerate(member_hypers(rule)):
        theta = params[member]
        state = rule.init(theta)
        for grad in grads[:, member]:
            theta, state = rule.update(theta, grad, state, hyper)
        ends.append((theta, state))
    return ends


def walk_together(rule: Rule, params: Tensor, grads: Tensor) -> list[tuple[Tensor, State]]:
    """As an elementwise population: [B, P] parameters, [B, 1] hyperparameters and counts."""
    hypers = member_hypers(rule)
    hyper = {name: torch.stack([h[name] for h in hypers])[:, None] for name in hypers[0]}
    theta = params
    state = {
        name: entry.expand(MEMBERS, 1).clone() if entry.ndim == 0 else entry
        for name, entry in rule.init(params).items()
    }
    for grad in grads:
        theta, state = rule.update(theta, grad, state, hyper)
    return [
        (
            theta[i],
            {k: v[i, 0] if v.shape == (MEMBERS, 1) else v[i] for k, v in state.items()},
        )
        for i in range(MEMBERS)
    ]


def walk_mapped(rule: Rule, params: Tensor, grads: Tensor) -> list[tuple[Tensor, State]]:
    """Under torch.vmap, where every member sees 0-D hyperparameters."""
    hypers = member_hypers(rule)
    hyper = {name: torch.stack([h[name] for h in hypers]) for name in hypers[0]}
    theta = params
    alone = [rule.init(param) for param in params]
    state = {name: torch.stack([entries[name] for entries in alone]) for name in alone[0]}
    for grad in grads:
        theta, state = torch.vmap(rule.update)(theta, grad, state, hyper)
    return [(theta[i], {k: v[i] for k, v in state.items()}) for i in range(MEMBERS)]


@pytest.mark.parametrize("way", [walk_together, walk_mapped])
def test_a_population_gives_each_member_what_it_gets_alone(rule: Rule, way: Any) -> None:
    assert rule.granularity == "elementwise"
    params, grads = random(MEMBERS, SIZE), random(10, MEMBERS, SIZE, seed=1)
    for alone, member in zip(
        walk_alone(rule, params, grads), way(rule, params, grads), strict=True
    ):
        torch.testing.assert_close(member[0], alone[0], rtol=1e-15, atol=1e-15)
        assert member[1].keys() == alone[1].keys()
        for name in alone[1]:
            torch.testing.assert_close(member[1][name], alone[1][name], rtol=1e-15, atol=1e-15)


def test_vmap_keeps_float32(rule: Rule) -> None:
    params = random(MEMBERS, SIZE, dtype=torch.float32)
    grads = random(2, MEMBERS, SIZE, dtype=torch.float32, seed=1)
    for theta, _ in walk_mapped(rule, params, grads):
        assert theta.dtype == torch.float32


def test_compiles_once_for_all_sizes_and_settings(rule: Rule) -> None:
    graphs = 0

    def count(graph: torch.fx.GraphModule, example_inputs: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(rule.update, backend=count, dynamic=True, fullgraph=True)
    for size, scale in ((5, 1.0), (7, 0.9), (64, 0.5)):
        param, grad = random(size), random(size, seed=1)
        hyper = {name: value * scale for name, value in hyper_of(rule).items()}
        state = rule.init(param)
        for _ in range(2):
            theirs = compiled(param, grad, state, hyper)
            param, state = rule.update(param, grad, state, hyper)
            torch.testing.assert_close(theirs[0], param, rtol=0, atol=0)
    assert graphs == 1
