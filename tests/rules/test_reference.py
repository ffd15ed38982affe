"""Every rule walks the path of its algorithm box, and of torch's optimizer where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from ravine import rules
from ravine.errors import SettingError, UnknownNameError
from ravine.rules import Rule, at_param
from tests.cases import (
    CASES,
    TOLERANCE,
    TWINS,
    Case,
    Ravine,
    difference,
    hyper_of,
    walk,
    walk_optimizer,
)
from tests.outputs import OUTPUTS, walk_outputs


@pytest.fixture
def wide_scalars() -> Iterator[None]:
    """Let torch keep its scalars (NAdam's product) in float64, as ravine does for float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_walks_the_path_of_the_box(case: Case, seed: int) -> None:
    problem = case.problem(seed)
    reference = case.reference(
        problem.start, problem.gradient, len(problem.noise), **case.all_settings
    )
    assert difference(walk(case.rule, problem), reference) <= TOLERANCE


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.constructor in OUTPUTS], ids=lambda case: case.label
)
def test_the_weights_to_evaluate_are_those_of_the_box(case: Case, seed: int) -> None:
    problem = case.problem(seed)
    reference = OUTPUTS[case.constructor](
        problem.start, problem.gradient, len(problem.noise), **case.all_settings
    )
    assert difference(walk_outputs(case.rule, problem), reference) <= TOLERANCE


def test_every_rule_with_an_output_of_its_own_is_in_the_table() -> None:
    own = {case.constructor for case in CASES if case.rule.output is not at_param}
    assert own == set(OUTPUTS)


@pytest.mark.parametrize("constructor", OUTPUTS)
def test_before_the_first_step_the_parameter_is_evaluated(constructor: Callable[..., Rule]) -> None:
    rule, param = constructor(), torch.randn(4, dtype=torch.float64)
    assert torch.equal(rule.output(param, rule.init(param), hyper_of(rule)), param)


@pytest.mark.usefixtures("wide_scalars")
@pytest.mark.parametrize("case", TWINS, ids=lambda case: case.label)
def test_walks_the_path_of_torch(case: Case) -> None:
    problem = case.problem(seed=2)
    twin = case.twin
    assert twin is not None
    theirs = walk_optimizer(lambda params: twin(params, case.all_settings), problem)
    assert difference(walk(case.rule, problem), theirs) <= TOLERANCE


def test_velocity_and_buffer_forms_of_nesterov_are_one_rule() -> None:
    """torch's parameter is the probe of the notes' rule."""
    problem, rule = Ravine(seed=3), rules.nesterov(lr=0.01)
    hyper = {k: torch.tensor(v, dtype=torch.float64) for k, v in rule.defaults.items()}
    theta = torch.from_numpy(problem.start.copy())
    state, probes = rule.init(theta), []
    for k in range(len(problem.noise)):
        grad = problem.gradient_at(rule.probe(theta, state, hyper), k)
        theta, state = rule.update(theta, grad, state, hyper)
        probes.append(rule.probe(theta, state, hyper))
    ours = torch.stack(probes).numpy()
    assert difference(ours, walk(rules.nesterov_buffer(lr=0.01), problem)) <= TOLERANCE


@pytest.mark.usefixtures("wide_scalars")
@pytest.mark.parametrize("make", [rules.asgd, rules.rprop])
def test_a_new_step_size_counts_when_it_does_in_torch(make: Callable[..., Rule]) -> None:
    """One step late for ASGD, never for Rprop: both keep what they made of the first one."""
    case = next(case for case in CASES if case.constructor is make and case.settings)
    problem, rule, hyper = Ravine(seed=4), case.rule, hyper_of(case.rule)
    theta = torch.from_numpy(problem.start.copy())
    twin_param = theta.clone().requires_grad_()
    assert case.twin is not None
    twin = case.twin([twin_param], case.all_settings)
    state = rule.init(theta)
    for k in range(30):
        hyper["lr"] = torch.tensor(0.1 / (1 + k % 7), dtype=torch.float64)
        twin.param_groups[0]["lr"] = hyper["lr"].item()
        twin_param.grad = problem.gradient_at(twin_param, k)
        twin.step()
        theta, state = rule.update(theta, problem.gradient_at(theta, k), state, hyper)
        torch.testing.assert_close(theta, twin_param.detach(), rtol=1e-12, atol=1e-12)
        assert state.keys() == twin.state[twin_param].keys()
        for name, entry in twin.state[twin_param].items():
            torch.testing.assert_close(
                state[name], entry, rtol=1e-12, atol=1e-12, check_dtype=name != "step"
            )


@pytest.mark.parametrize(
    "case",
    [case for case in TWINS if case.constructor is not rules.momentum],  # torch's is heavy_ball
    ids=lambda case: case.label,
)
def test_state_names_are_those_of_torch(case: Case) -> None:
    param = torch.zeros(case.shape, requires_grad=True)
    assert case.twin is not None
    twin = case.twin([param], case.all_settings)
    param.grad = torch.ones(case.shape)
    twin.step()
    theirs = {name for name, entry in twin.state[param].items() if entry is not None}
    assert theirs - {"step"} <= case.rule.init(param.detach()).keys()


def test_signum_is_lion_whose_step_and_memory_decay_alike() -> None:
    problem = Ravine(seed=5)
    lion = walk(rules.lion(lr=0.02, beta1=0.8, beta2=0.8), problem)
    assert difference(walk(rules.signum(lr=0.02, momentum=0.8), problem), lion) == 0


@pytest.mark.parametrize("make", [rules.schedule_free_sgd, rules.schedule_free_adamw])
def test_schedule_free_weighs_by_the_largest_step_size_so_far(make: Callable[..., Rule]) -> None:
    problem, rule = Ravine(seed=6), make()
    theta = torch.from_numpy(problem.start.copy())
    state, weights, path = rule.init(theta), [], []
    for k, lr in enumerate((0.1, 0.3, 0.2, 0.05, 0.4)):
        hyper = {**hyper_of(rule), "lr": torch.tensor(lr, dtype=torch.float64)}
        theta, state = rule.update(theta, problem.gradient_at(theta, k), state, hyper)
        weights.append((0.1, 0.3, 0.3, 0.3, 0.4)[k] ** 2)
        path.append(state["z"].numpy())
        average = np.average(path, axis=0, weights=weights)
        assert difference(rule.output(theta, state, hyper).numpy(), average) <= TOLERANCE


@pytest.mark.parametrize("make", [rules.schedule_free_sgd, rules.schedule_free_adamw])
def test_schedule_free_rests_while_the_step_size_is_zero(make: Callable[..., Rule]) -> None:
    """All weights of the average are 0 then, and 0/0 must not reach the parameter."""
    rule = make(lr=0.0)
    theta, grad = torch.randn(4), torch.randn(4)
    once, state = rule.update(theta, grad, rule.init(theta), hyper_of(rule))
    assert torch.equal(once, theta)
    assert torch.equal(rule.output(once, state, hyper_of(rule)), theta)


def test_radam_starts_to_adapt_at_the_same_step_in_a_float32_population() -> None:
    """At step 5 the length is 4.996; 1 - ρᵗ in float32 would put it on either side of 5."""
    rule = rules.radam()
    grads = torch.randn(8, 6, generator=torch.Generator().manual_seed(0)).double()
    for beta2 in torch.linspace(0.99, 0.9999, 200).tolist():
        ends = []
        for dtype, shape in ((torch.float64, ()), (torch.float32, (1, 1))):
            hyper = {name: value.to(dtype).expand(shape) for name, value in hyper_of(rule).items()}
            hyper["beta2"] = torch.full(shape, beta2, dtype=dtype)
            theta = torch.zeros(1, 6, dtype=dtype)
            state = {**rule.init(theta), "step": torch.zeros(shape, dtype=dtype)}
            for grad in grads:
                theta, state = rule.update(theta, grad[None].to(dtype), state, hyper)
            ends.append(theta.double())
        torch.testing.assert_close(ends[1], ends[0], rtol=1e-4, atol=1e-8)


def test_radam_can_be_differentiated_before_it_adapts() -> None:
    """At step 3 the ratio under the root, which is not used yet, is negative."""
    rule, theta = rules.radam(), torch.zeros(3, dtype=torch.float64)
    grad = torch.ones_like(theta, requires_grad=True)
    state = {**rule.init(theta), "step": torch.tensor(2.0)}
    after, _ = rule.update(theta, grad, state, hyper_of(rule))
    (slope,) = torch.autograd.grad(after.sum(), grad)
    expected = torch.full_like(theta, -1e-3 * (1 - 0.9) / (1 - 0.9**3))
    torch.testing.assert_close(slope, expected, rtol=1e-12, atol=0)


def test_radam_never_adapts_with_a_short_memory() -> None:
    """With ρ₂ = 0.5 the ratio under the root is negative at step 3; nothing of it may show."""
    rule = rules.radam(beta2=0.5)
    theta = torch.ones(3, dtype=torch.float64)
    state = rule.init(theta)
    for _ in range(20):
        theta, state = rule.update(theta, torch.ones_like(theta), state, hyper_of(rule))
    torch.testing.assert_close(theta, torch.full_like(theta, 1 - 20 * 1e-3), rtol=1e-12, atol=0)


def test_every_registered_rule_is_in_the_table() -> None:
    assert set(rules.REGISTRY.values()) <= {case.constructor for case in CASES}


@pytest.mark.parametrize("name", rules.REGISTRY)
def test_get_gives_the_rule_of_that_name(name: str) -> None:
    rule = rules.get(name)
    assert rule.name == name
    assert rule.title
    assert rule.source
    assert "lr" in rule.defaults
    assert name in rules.__all__


def test_get_suggests_near_names() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean adam.*`ravine optimizers`"):
        rules.get("adm")


def test_rmsprop_refuses_an_unknown_place_for_delta() -> None:
    with pytest.raises(SettingError, match=r"delta='within'.*outside.*inside"):
        rules.rmsprop(delta="within")  # type: ignore[arg-type]


def test_centered_rmsprop_survives_a_constant_gradient() -> None:
    """r - m² rounds below zero there; torch's own class gives NaN once that happens."""
    rule = rules.rmsprop(alpha=0.5, eps=1e-8, centered=True)
    hyper = {k: torch.tensor(v, dtype=torch.float64) for k, v in rule.defaults.items()}
    theta, grad = torch.zeros(64), torch.linspace(0.1, 3, 64)
    state, below_zero = rule.init(theta), False
    for _ in range(60):
        theta, state = rule.update(theta, grad, state, hyper)
        below_zero |= bool((state["square_avg"] - state["grad_avg"] ** 2 < 0).any())
    assert below_zero, "the case is not reached"
    assert theta.isfinite().all()
