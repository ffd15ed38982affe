"""What every rule promises to every engine: dtype, shape, purity, broadcasting, vmap, compiling."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from ravine.rules import Rule, State
from ravine.rules._rule import Update
from ravine.testing import check_choice, check_dtypes, check_graph, check_purity, check_state
from ravine.testing._walks import steps_of
from tests.cases import BFLOAT16, CASES, Case, Shape, hyper_of

MEMBERS, SIZE = 3, 5
STEPS = 12  # SOAP renews its bases at the 11th
SHAPES: tuple[Shape, ...] = ((2, 3), (2, 1, 3), (3, 0))
ALL = (*CASES, *BFLOAT16)
ROWS = [case for case in ALL if case.rule.granularity != "matrix"]
ELEMENTWISE = [case for case in ALL if case.rule.granularity == "elementwise"]
MATRIX = [case for case in ALL if case.rule.granularity == "matrix"]


def each(cases: Iterable[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.label)


def random(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)


@each(ALL)
@pytest.mark.parametrize("shape", SHAPES)
def test_keeps_dtypes_and_shapes_and_stays_finite(case: Case, shape: Shape) -> None:
    """Beside each shape `check_dtypes` takes its vector, a scalar and its empty one."""
    check_dtypes(case.rule, shape)


@each(ALL)
def test_remembers_what_engines_expect(case: Case) -> None:
    check_state(case.rule, case.shape)
    state = case.rule.init(random(*case.shape, dtype=torch.bfloat16))
    wide = {torch.float32} if "step" in state else set()
    assert {entry.dtype for entry in state.values() if entry.ndim == 0} == wide


@each(ALL)
def test_is_pure_and_returns_nothing_that_it_was_given(case: Case) -> None:
    check_purity(case.rule, case.shape)
    param, grad = random(*case.shape), random(*case.shape, seed=1)
    state = case.rule.init(param)
    for _ in range(STEPS):
        given = {entry.data_ptr() for entry in (param, grad, *state.values())}
        param, state = case.rule.update_for(state)(param, grad, state, hyper_of(case.rule))
        assert not given & {entry.data_ptr() for entry in (param, *state.values())}


@each(ALL)
def test_is_one_graph(case: Case) -> None:
    check_graph(case.rule, case.shape)


@each([case for case in ALL if case.rule.choose is not None])
def test_chooses_among_a_few_fixed_functions_by_the_counts_alone(case: Case) -> None:
    check_choice(case.rule, case.shape)
    chosen = {update for update, *_ in steps_of(case.rule, case.shape, steps=2 * STEPS)}
    assert 2 <= len(chosen) <= 3


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
            theta, state = rule.update_for(state)(theta, grad, state, hyper)
        ends.append((theta, state))
    return ends


def walk_together(rule: Rule, params: Tensor, grads: Tensor) -> list[tuple[Tensor, State]]:
    """As rows of a population: [B, P] parameters, [B, 1] hyperparameters and counts."""
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


def walk_mapped(
    rule: Rule,
    params: Tensor,
    grads: Tensor,
    run: Callable[[Update], Callable[..., Any]] = torch.vmap,
) -> list[tuple[Tensor, State]]:
    """Stacked under torch.vmap, where every member sees 0-D hyperparameters."""
    hypers = member_hypers(rule)
    hyper = {name: torch.stack([h[name] for h in hypers]) for name in hypers[0]}
    theta = params
    alone = [rule.init(param) for param in params]
    state = {name: torch.stack([entries[name] for entries in alone]) for name in alone[0]}
    for grad in grads:
        update = rule.update_for({name: entry[0] for name, entry in state.items()})
        theta, state = run(update)(theta, grad, state, hyper)
    return [(theta[i], {k: v[i] for k, v in state.items()}) for i in range(MEMBERS)]


def assert_same_ends(
    ours: list[tuple[Tensor, State]], alone: list[tuple[Tensor, State]], tolerance: float
) -> None:
    for (theta, state), (theta_alone, state_alone) in zip(ours, alone, strict=True):
        torch.testing.assert_close(theta, theta_alone, rtol=tolerance, atol=tolerance)
        assert state.keys() == state_alone.keys()
        for name in state:
            torch.testing.assert_close(
                state[name], state_alone[name], rtol=tolerance, atol=tolerance
            )


@each(ROWS)
def test_rows_of_a_population_go_as_each_goes_alone(case: Case) -> None:
    params, grads = random(MEMBERS, SIZE), random(STEPS, MEMBERS, SIZE, seed=1)
    ends = walk_together(case.rule, params, grads)
    assert_same_ends(ends, walk_alone(case.rule, params, grads), 1e-15)


@each([*ELEMENTWISE, *MATRIX])
def test_stacked_parameters_go_as_each_goes_alone(case: Case) -> None:
    params, grads = random(MEMBERS, *case.shape), random(STEPS, MEMBERS, *case.shape, seed=1)
    ends, alone = walk_mapped(case.rule, params, grads), walk_alone(case.rule, params, grads)
    if case in BFLOAT16:  # vmap splits addmm, so 8 bits are rounded to three times, not once
        for (theta, _), (theta_alone, _), start in zip(ends, alone, params, strict=True):
            assert (theta - theta_alone).norm() <= 0.1 * (theta_alone - start).norm()
        return
    # Stacked matrices are multiplied in another order; 1e-15 of rounding, magnified by roots.
    assert_same_ends(ends, alone, 1e-15 if case in ELEMENTWISE else 1e-12)


@each([*ELEMENTWISE, *MATRIX])
def test_stacking_keeps_float32(case: Case) -> None:
    params = random(MEMBERS, *case.shape, dtype=torch.float32)
    grads = random(STEPS, MEMBERS, *case.shape, dtype=torch.float32, seed=1)
    first = case.rule.init(params[0])
    for theta, state in walk_mapped(case.rule, params, grads):
        assert theta.dtype == torch.float32
        assert {name: entry.dtype for name, entry in state.items()} == {
            name: entry.dtype for name, entry in first.items()
        }


@each(ROWS)
def test_compiles_once_for_all_sizes_and_settings(case: Case) -> None:
    rule, graphs = case.rule, 0

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


def held(function: Callable[..., Any]) -> Callable[..., Any]:
    """With states laid out as engines hold them: a graph is for one memory layout."""

    def call(param: Tensor, grad: Tensor, state: State, hyper: State) -> Any:
        state = {name: entry.contiguous() for name, entry in state.items()}
        return function(param, grad, state, hyper)

    return call


@each(MATRIX)
def test_stacked_updates_are_graphs_that_hold_for_all_values(case: Case) -> None:
    """Each is traced at its first step, where states are zero, and run at all later ones."""
    rule, graphs = case.rule, {}

    def traced(update: Update) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if update not in graphs:
                graphs[update] = make_fx(torch.vmap(update))(*args)
            return graphs[update](*args)

        return held(call)

    params, grads = random(MEMBERS, *case.shape), random(2 * STEPS, MEMBERS, *case.shape, seed=1)
    ends = walk_mapped(rule, params, grads, run=traced)
    mapped = walk_mapped(rule, params, grads, run=lambda update: held(torch.vmap(update)))
    assert_same_ends(ends, mapped, 0)
