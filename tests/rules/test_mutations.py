"""The comparisons of test_reference can fail: each mistake below is far outside the tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from torch import Tensor

from ravine import rules
from ravine.rules import Hyper, Rule, State, at_param
from ravine.rules._parts import root_of_sum, root_plus
from tests.cases import CASES, TOLERANCE, Case, Ravine, difference, hyper_of, walk

FAR = 1e4 * TOLERANCE


def error_of(rule: Rule, case: Case, hyper: Hyper | None = None) -> float:
    """How far `rule` is from the box of `case`."""
    problem = Ravine()
    reference = case.reference(
        problem.start, problem.gradient, len(problem.noise), **case.all_settings
    )
    return difference(walk(rule, problem, hyper), reference)


def default_case(constructor: Callable[..., Rule]) -> Case:
    return next(case for case in CASES if case.constructor is constructor and not case.settings)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_flipped_sign_is_seen(case: Case) -> None:
    rule = case.rule

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        return rule.update(param, -grad, state, hyper)

    assert error_of(rule, case) <= TOLERANCE
    assert error_of(replace(rule, update=update), case) > FAR


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_every_hyperparameter_is_seen(case: Case) -> None:
    for name, value in case.rule.defaults.items():
        hyper = hyper_of(case.rule)
        factor = 1000 if name == "eps" else 0.991  # 1e-10 beside a root of 0.1 is rounding
        hyper[name] = hyper[name] + 0.009 if value == 0 else hyper[name] * factor
        assert error_of(case.rule, case, hyper) > TOLERANCE, name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_forgotten_state_is_seen(case: Case) -> None:
    rule = case.rule
    if not rule.init(torch.zeros(1)):
        pytest.skip("remembers nothing")

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        return rule.update(param, grad, rule.init(param), hyper)

    assert error_of(replace(rule, update=update), case) > FAR


def test_decay_rate_099_instead_of_0999_is_seen() -> None:
    rule = rules.adam(beta2=0.99)
    assert error_of(rule, default_case(rules.adam)) > FAR


def test_delta_on_the_wrong_side_of_the_root_is_seen() -> None:
    wrong = rules.rmsprop(eps=1e-6, delta="outside")
    assert error_of(wrong, default_case(rules.rmsprop_inside)) > FAR


@pytest.mark.parametrize("constructor", [rules.adam, rules.amsgrad, rules.adamw, rules.nadam])
def test_missing_bias_correction_is_seen(
    constructor: Callable[..., Rule], monkeypatch: pytest.MonkeyPatch
) -> None:
    adam = import_module("ravine.rules.adam")
    monkeypatch.setattr(adam, "debias", lambda moment, decay, step: moment)
    assert error_of(constructor(), default_case(constructor)) > FAR


def test_denominators_of_adam_and_adadelta_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("ravine.rules.adam"), "root_plus", root_of_sum)
    monkeypatch.setattr(import_module("ravine.rules.adadelta"), "root_of_sum", root_plus)
    for case in CASES:
        if case.constructor in (rules.adam, rules.adadelta) and case.settings:
            assert error_of(case.rule, case) > FAR


@pytest.mark.parametrize("constructor", [rules.nesterov, rules.rmsprop_nesterov])
def test_gradient_at_theta_instead_of_the_probe_is_seen(constructor: Callable[..., Rule]) -> None:
    wrong = replace(constructor(), probe=at_param)
    assert error_of(wrong, default_case(constructor)) > FAR


def test_max_that_forgets_is_seen() -> None:
    assert error_of(rules.adam(), default_case(rules.amsgrad)) > FAR
