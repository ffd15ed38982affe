"""Every rule walks the path of its algorithm box, and of torch's optimizer where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from ravine import rules
from ravine.errors import SettingError, UnknownNameError
from tests.cases import CASES, TOLERANCE, TWINS, Case, Ravine, difference, walk, walk_optimizer


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
    problem = Ravine(seed=seed)
    reference = case.reference(
        problem.start, problem.gradient, len(problem.noise), **case.all_settings
    )
    assert difference(walk(case.rule, problem), reference) <= TOLERANCE


@pytest.mark.usefixtures("wide_scalars")
@pytest.mark.parametrize("case", TWINS, ids=lambda case: case.label)
def test_walks_the_path_of_torch(case: Case) -> None:
    problem = Ravine(seed=2)
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
