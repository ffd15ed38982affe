"""What is particular to single rules that look at whole parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ravine import rules
from ravine.errors import SettingError
from ravine.rules import Rule, State
from ravine.transforms import chain, decoupled
from tests import references_matrix
from tests.cases import (
    CASES,
    TOLERANCE,
    Case,
    Ravine,
    Shape,
    difference,
    hyper_of,
    walk,
    walk_optimizer,
)

FAR = 1e4 * TOLERANCE


def test_a_step_of_lars_is_as_long_as_its_trust_in_every_row() -> None:
    rule = rules.lars(lr=2.0, momentum=0.0, weight_decay=0.0, trust_coefficient=0.01)
    param, grad = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    moved, _ = rule.update(param, grad * 1e6, rule.init(param), hyper_of(rule))
    torch.testing.assert_close(
        (moved - param).norm(dim=1), 0.02 * param.norm(dim=1), rtol=1e-9, atol=0
    )


def test_a_step_of_lamb_is_as_long_as_its_step_size_in_every_row() -> None:
    rule = rules.lamb(lr=0.02)
    param, grad = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    moved, _ = rule.update(param, grad, rule.init(param), hyper_of(rule))
    torch.testing.assert_close(
        (moved - param).norm(dim=1), 0.02 * param.norm(dim=1), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize(
    ("rule", "step"),
    [
        (rules.lars(lr=0.5), lambda grad: -0.5 * grad),
        (rules.lamb(lr=0.5, eps=0.0), lambda grad: -0.5 * grad.sign()),
    ],
    ids=["lars", "lamb"],
)
def test_the_trust_ratio_of_a_zero_parameter_is_one(
    rule: Rule, step: Callable[[Tensor], Tensor]
) -> None:
    param = torch.zeros(2, 3, dtype=torch.float64)
    param[1] = 1.0
    grad = torch.tensor([[1.0, -2.0, 3.0]] * 2, dtype=torch.float64)
    moved, _ = rule.update(param, grad, rule.init(param), hyper_of(rule))
    torch.testing.assert_close(moved[0], step(grad[0]), rtol=1e-12, atol=0)
    assert not torch.allclose(moved[1] - param[1], step(grad[1]))


def test_the_trust_ratio_of_a_zero_gradient_is_one() -> None:
    """What is left is the decay; the ratio η/λ that the box gives would shrink θ by η ε."""
    param, hyper = torch.ones(3, dtype=torch.float64), {"lr": 0.5, "weight_decay": 0.1}
    for rule in (rules.lars(**hyper), rules.lamb(**{**hyper, "weight_decay": 0.0})):
        moved, _ = rule.update(param, torch.zeros(3), rule.init(param), hyper_of(rule))
        decay = hyper_of(rule)["weight_decay"]
        torch.testing.assert_close(moved, (1 - 0.5 * decay) * param, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_adafactor_takes_torchs_epsilon_for_the_dtype(dtype: torch.dtype, shape: Shape) -> None:
    """Gradients below machine epsilon, so that the floor is what they are divided by."""
    generator = torch.Generator().manual_seed(0)
    param = torch.randn(shape, generator=generator).to(dtype)
    grad = torch.randn(shape, generator=generator).to(dtype) * 0.3 * torch.finfo(dtype).eps
    rule, twin = rules.adafactor(lr=1.0), param.clone().requires_grad_()
    twin.grad = grad
    torch.optim.Adafactor([twin], lr=1.0, foreach=False).step()
    ours, _ = rule.update(param, grad, rule.init(param), hyper_of(rule))
    step, theirs = (ours - param).double(), (twin.detach() - param).double()
    assert theirs.norm() > 0
    torch.testing.assert_close(ours, twin.detach(), rtol=torch.finfo(dtype).eps, atol=0)
    larger = rules.adafactor(lr=1.0, eps1=0.5)
    other, _ = larger.update(param, grad, rule.init(param), hyper_of(larger))
    assert ((other - param).double() - theirs).norm() > 0.1 * step.norm()


def test_muon_with_decay_is_torchs_muon() -> None:
    problem = Ravine(shape=(4, 3))
    theirs = walk_optimizer(lambda params: torch.optim.Muon(params), problem)
    assert difference(walk(chain(rules.muon(), decoupled(0.1)), problem), theirs) <= TOLERANCE
    assert difference(walk(rules.muon(), problem), theirs) > FAR


def test_muon_in_bfloat16_is_near_muon_in_float64() -> None:
    problem = Ravine(shape=(6, 4))
    rough, exact = walk(rules.muon(), problem), walk(rules.muon(precision=None), problem)
    error = np.linalg.norm(rough[0] - exact[0]) / np.linalg.norm(exact[0] - problem.start)
    assert 1e-4 < error < 0.05


def test_muon_sees_a_convolution_as_a_matrix() -> None:
    rule, settings = rules.muon(precision=None), {"dtype": torch.float64}
    param, grad = torch.randn(4, 2, 3, 3, **settings), torch.randn(4, 2, 3, 3, **settings)
    four, _ = rule.update(param, grad, rule.init(param), hyper_of(rule))
    flat, _ = rule.update(
        param.flatten(1), grad.flatten(1), rule.init(param.flatten(1)), hyper_of(rule)
    )
    assert torch.equal(four.flatten(1), flat)


def test_muon_for_models_is_adamw_on_vectors_and_muon_on_matrices() -> None:
    vector, matrix, whole = Ravine(), Ravine(shape=(4, 3)), rules.muon_adamw(lr=0.01)
    adamw = rules.adamw(lr=0.01, beta2=0.95, weight_decay=0.1)
    assert np.array_equal(walk(whole, vector), walk(adamw, vector))
    muon = rules.muon(lr=0.01, eps=1e-8, adjust_lr_fn="match_rms_adamw", precision=None)
    assert np.array_equal(walk(whole, matrix), walk(chain(muon, decoupled(0.1)), matrix))


@pytest.mark.parametrize("shape", [(4,), (1,)])
def test_muon_refuses_vectors(shape: Shape) -> None:
    with pytest.raises(SettingError, match=r"shape \[\d\] came.*muon_adamw\(\).*ravine\.groups\("):
        rules.muon().init(torch.zeros(shape))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (rules.muon, {"adjust_lr_fn": "rms"}, r"'rms'.*original.*match_rms_adamw"),
        (rules.shampoo, {"eps": 0.0}, r"eps=0\.0.*above 0"),
        (rules.shampoo, {"update_every": 0}, r"update_every=0.*pass 1"),
        (rules.soap, {"precondition_frequency": 0}, r"precondition_frequency=0.*pass 1"),
    ],
)
def test_settings_without_meaning_are_refused(
    make: Callable[..., Rule], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        make(**options)


def states_of(rule: Rule, problem: Ravine) -> list[State]:
    """The states after every step."""
    theta, states = torch.from_numpy(problem.start.copy()), []
    state = rule.init(theta)
    for k in range(len(problem.noise)):
        grad = problem.gradient_at(theta, k)
        theta, state = rule.update_for(state)(theta, grad, state, hyper_of(rule))
        states.append(state)
    return states


@pytest.mark.parametrize(
    ("rule", "entry", "renewals"),
    [
        (rules.shampoo(update_every=4), "root_0", [4, 8, 12, 16]),  # and at step 0
        (rules.soap(precondition_frequency=4), "basis_0", [4, 8, 12, 16]),
    ],
    ids=["shampoo", "soap"],
)
def test_roots_and_bases_are_renewed_when_due(rule: Rule, entry: str, renewals: list[int]) -> None:
    entries = [state[entry] for state in states_of(rule, Ravine(shape=(3, 3), steps=18))]
    changed = [k for k in range(1, 18) if not torch.equal(entries[k], entries[k - 1])]
    assert changed == renewals


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.rule.choose is not None], ids=lambda case: case.label
)
def test_a_walk_that_ignores_the_choice_is_seen(case: Case) -> None:
    problem, wrong = case.problem(), replace(case.rule, choose=None)
    assert difference(walk(wrong, problem), walk(case.rule, problem)) > FAR


@pytest.mark.parametrize("make", [rules.shampoo, rules.soap])
def test_matrices_beside_a_bfloat16_parameter_are_float32(make: Callable[[], Rule]) -> None:
    state = make().init(torch.zeros(3, 2, dtype=torch.bfloat16))
    assert {entry.dtype for entry in state.values()} == {torch.float32}


def walk_soap(rule: Rule, problem: Ravine, change: Callable[[State], State]) -> tuple[Any, State]:
    """The path of SOAP whose state is changed once, after the first step; and that state."""
    theta, path, hyper = torch.from_numpy(problem.start.copy()), [], hyper_of(rule)
    state = first = rule.init(theta)
    for k in range(len(problem.noise)):
        grad = problem.gradient_at(theta, k)
        theta, state = rule.update_for(state)(theta, grad, state, hyper)
        if k == 0:
            state = first = change(state)
        path.append(theta.numpy())
    return np.array(path), first


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 3, 2)])
def test_signs_of_eigenvectors_cancel_in_soap(shape: Shape) -> None:
    def flipped(state: State) -> State:
        signs = {"basis_0": torch.tensor([1.0, -1.0, -1.0, 1.0]), "basis_1": -torch.ones(3)}
        return {
            name: entry * signs[name][: len(entry)] if name in signs else entry
            for name, entry in state.items()
        }

    problem, rule = Ravine(shape=shape), rules.soap(lr=0.02)
    path, state = walk_soap(rule, problem, flipped)
    assert not torch.equal(state["basis_0"], flipped(state)["basis_0"])
    assert difference(path, walk(rule, problem)) <= TOLERANCE


@pytest.mark.parametrize(
    ("shape", "settings"), [((4, 2), {}), ((2, 5), {}), ((4,), {"precondition_1d": True})]
)
def test_soap_with_first_bases_that_are_not_unique(shape: Shape, settings: dict[str, Any]) -> None:
    """A gradient of low rank leaves eigenvectors of 0 open: the loop is given those of the rule."""
    problem, rule = Ravine(shape=shape), rules.soap(lr=0.02, **settings)
    path, state = walk_soap(rule, problem, lambda state: state)
    bases = {i: state[f"basis_{i}"].numpy() for i in range(len(shape))}
    for i, basis in bases.items():
        matrix = state[f"preconditioner_{i}"].numpy()
        values = basis.T @ matrix @ basis
        assert np.abs(basis.T @ basis - np.eye(len(basis))).max() <= TOLERANCE
        assert np.abs(values - np.diag(np.diag(values))).max() <= TOLERANCE * np.abs(matrix).max()
        assert (np.diff(np.diag(values)) <= TOLERANCE).all()
    reference = references_matrix.soap(
        problem.start,
        problem.gradient,
        len(problem.noise),
        **{**rule.defaults, **settings},
        first_bases=bases,
    )
    assert difference(path, reference) <= TOLERANCE
