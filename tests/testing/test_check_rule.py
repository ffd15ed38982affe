"""Every built-in rule keeps every promise, and so do chains; what `check_rule` says otherwise."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from ravine import rules
from ravine.errors import UnknownNameError
from ravine.rules import Rule
from ravine.testing import PROMISES, ConformanceError, check_compiled, check_rule
from ravine.testing import _engines as engines
from ravine.transforms import (
    accumulate,
    chain,
    clip_adaptive,
    clip_norm,
    clip_norm_each,
    decoupled,
    in_float32,
    l2,
    polyak,
    stochastic_weight_average,
)
from tests import references, references_matrix

torch.set_num_threads(1)

CHAINS = {
    "clipped adam with decay": chain(clip_norm(0.5), rules.adam(), decoupled(0.1)),
    "accumulated nesterov": chain(accumulate(2), rules.nesterov(lr=0.1)),
    "averaged momentum with L2": chain(l2(0.01), rules.momentum(), polyak()),
    "adam with SWA": chain(rules.adam(), stochastic_weight_average(2, 2)),
    "lion, each clipped": chain(clip_norm_each(0.1), rules.lion(lr=0.01)),
    "adaptively clipped lamb": chain(clip_adaptive(0.05), rules.lamb(lr=0.1)),
    "adagrad in float32": in_float32("kahan")(rules.adagrad(initial_accumulator_value=0.1)),
}
RULES: dict[str, Rule] = {
    **{name: rules.get(name) for name in rules.REGISTRY},
    "heavy_ball": rules.heavy_ball(),
    "nesterov_buffer": rules.nesterov_buffer(),
    **CHAINS,
}
IDLE = {
    "asgd": ["t0"],  # averaging starts after 10⁶ steps
    "rprop": ["step_max"],  # 50 is far away
    "schedule_free_sgd": ["weight_lr_power"],  # the step size is constant
}


COMPILING = ("compiled", "recompilation", "checkpoint")
"""Promises for which an elementwise rule is compiled, which takes more than a second."""

VARIANTS = (
    "adadelta",
    "adamax",
    "amsgrad",
    "delta_bar_delta",
    "heavy_ball",
    "momentum",
    "nadam",
    "nesterov_buffer",
    "radam",
    "rmsprop_inside",
    "rmsprop_momentum",
    "schedule_free_sgd",
    "sign_sgd",
    "signum",
)
"""Rules that are compiled in tests/engines/test_table.py alone: others of their kind are here."""

WITHOUT = {
    **dict.fromkeys(VARIANTS, COMPILING),
    "accumulated nesterov": ["accumulation"],  # it accumulates already
}


@pytest.mark.filterwarnings("ignore:an update runs uncompiled:RuntimeWarning")
@pytest.mark.parametrize("name", RULES)
def test_every_rule_keeps_every_promise(name: str) -> None:
    check_rule(RULES[name], idle=IDLE.get(name, []), without=WITHOUT.get(name, []))


def test_a_reference_is_walked_along() -> None:
    check_rule(rules.nesterov(), references.nesterov, without=PROMISES)
    check_rule(rules.lamb(), references_matrix.lamb, without=PROMISES)
    matrix = partial(references_matrix.shampoo, eps=0.01)
    check_rule(rules.shampoo(eps=0.01), matrix, without=PROMISES)
    with pytest.raises(ConformanceError, match="of its size away from the reference after step 1"):
        check_rule(rules.nesterov_buffer(), references.nesterov, without=PROMISES)


def test_a_name_stands_for_its_rule() -> None:
    check_rule("sgd", without=["compiled", "recompilation", "checkpoint"])


def test_all_failures_come_together_and_what_builds_on_them_is_named() -> None:
    rule = rules.sgd()
    wrong = replace(
        rule,
        title="My rule",
        update=lambda param, grad, state, hyper: (
            param - 0.01 * grad.double() + 0 * float(hyper["lr"]),
            {},
        ),
    )
    with pytest.raises(ConformanceError) as caught:
        check_rule(wrong)
    assert caught.value.promises == ("dtypes", "graph", "settings")
    said = str(caught.value)
    assert said.startswith("My rule breaks 3 promises.")
    for words in ("from torch.float32 to torch.float64", "float(hyper", "no other value of 'lr'"):
        assert words in said
    assert said.endswith(
        "Not checked, because they build on these: totals, granularity, compiled, recompilation, "
        "population, accumulation, checkpoint."
    )


def test_an_exception_in_the_rule_is_a_failure_with_its_place() -> None:
    wrong = replace(rules.sgd(), update=lambda param, grad, state, hyper: hyper["rate"])
    with pytest.raises(
        ConformanceError, match=r"KeyError: 'rate', at test_check_rule\.py:\d+"
    ) as e:
        check_rule(wrong)
    assert e.value.promises == ("state",)


def test_unknown_promises_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="'purty'; did you mean purity"):
        check_rule("sgd", without=["purty"])


def test_without_a_compiler_compiled_steps_are_skipped_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "_has_compiler", lambda: False)
    monkeypatch.setattr(engines, "_walk", None)
    with pytest.warns(RuntimeWarning, match=r"no C\+\+ compiler found.*'compiled'"):
        check_compiled(rules.sgd())
