"""The comparisons of test_reference can fail: each mistake below is far outside the tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from torch import Tensor

from ravine import rules
from ravine.rules import Hyper, Rule, at_param
from ravine.rules._parts import root_of_sum, root_plus
from ravine.rules._rule import Update
from tests.cases import CASES, TOLERANCE, Case, difference, hyper_of, walk, with_updates
from tests.outputs import OUTPUTS, walk_outputs

FAR = 1e4 * TOLERANCE

READ_BY_SIGN = {
    (rules.delta_bar_delta, "theta"),
    (rules.lion, "beta1"),
    (rules.lion, "beta2"),
    (rules.signum, "momentum"),
}
"""Decays of averages of which only the sign counts."""


def error_of(rule: Rule, case: Case, hyper: Hyper | None = None) -> float:
    """How far `rule` is from the box of `case`, in the parameter or in the weights to evaluate."""
    problem, box = case.problem(), case.all_settings
    reference = case.reference(problem.start, problem.gradient, len(problem.noise), **box)
    error = difference(walk(rule, problem, hyper), reference)
    if case.constructor not in OUTPUTS:
        return error
    averages = OUTPUTS[case.constructor](problem.start, problem.gradient, len(problem.noise), **box)
    return max(error, difference(walk_outputs(rule, problem, hyper), averages))


def nudged(case: Case, name: str, value: Tensor) -> Tensor:
    """A value near `value` that should change the path."""
    if name == "warmup_steps":
        return value + 5  # counted in whole steps
    if name == "eps":
        return value * 1000  # 1e-10 beside a root of 0.1 is rounding
    if (case.constructor, name) in READ_BY_SIGN:
        return value * 0.5  # 1% less memory flips no sign here
    return value + 0.009 if value == 0 else value * 0.991


def default_case(constructor: Callable[..., Rule]) -> Case:
    return next(case for case in CASES if case.constructor is constructor and not case.settings)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_flipped_sign_is_seen(case: Case) -> None:
    def flipped(update: Update) -> Update:
        return lambda param, grad, state, hyper: update(param, -grad, state, hyper)

    assert error_of(case.rule, case) <= TOLERANCE
    assert error_of(with_updates(case.rule, flipped), case) > FAR


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_every_hyperparameter_is_seen(case: Case) -> None:
    for name, value in hyper_of(case.rule).items():
        hyper = {**hyper_of(case.rule), name: nudged(case, name, value)}
        seen = error_of(case.rule, case, hyper) > TOLERANCE
        assert seen == (name not in case.idle), name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_forgotten_state_is_seen(case: Case) -> None:
    rule = case.rule
    if not rule.init(torch.zeros(case.shape)):
        pytest.skip("remembers nothing")

    def forgetful(update: Update) -> Update:
        return lambda param, grad, state, hyper: update(param, grad, rule.init(param), hyper)

    assert error_of(with_updates(rule, forgetful), case) > FAR


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


def test_adapting_before_the_length_allows_it_is_seen() -> None:
    """RAdam without its first steps of plain momentum, and without its rectification, is Adam."""
    assert error_of(rules.adam(), default_case(rules.radam)) > FAR


def test_norm_without_memory_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    adamax = import_module("ravine.rules.adamax")
    monkeypatch.setattr(adamax.torch, "maximum", lambda old, new: new)
    assert error_of(rules.adamax(), default_case(rules.adamax)) > FAR


@pytest.mark.parametrize("constructor", OUTPUTS)
def test_parameter_instead_of_the_output_is_seen(constructor: Callable[..., Rule]) -> None:
    case = next(case for case in CASES if case.constructor is constructor and case.settings)
    assert error_of(replace(case.rule, output=at_param), case) > FAR


@pytest.mark.parametrize("constructor", [rules.nesterov, rules.rmsprop_nesterov])
def test_gradient_at_theta_instead_of_the_probe_is_seen(constructor: Callable[..., Rule]) -> None:
    wrong = replace(constructor(), probe=at_param)
    assert error_of(wrong, default_case(constructor)) > FAR


def test_max_that_forgets_is_seen() -> None:
    assert error_of(rules.adam(), default_case(rules.amsgrad)) > FAR
