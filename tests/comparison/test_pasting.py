"""What an arm is typed as."""

from __future__ import annotations

import pytest

from ravine import chain, clip_norm, rules, schedules
from ravine.comparison.arms import arms_of
from ravine.comparison.pasting import code_of, procedures_as_text
from ravine.recipes import load
from tests.problems import digits_problem, digits_recipe
from tests.training.test_sources import Flowing

PROBLEM = digits_problem()


def codes(rule, start="as_built", schedule="constant", order=()):
    compared = arms_of(PROBLEM, [rule], [start], [schedule], order)
    titles = {name: arm.title for name, arm in compared.procedures.items()}
    facts = {"titles": titles, "parts": compared.parts}
    facts["procedures"] = procedures_as_text(PROBLEM, compared)
    return [code_of(facts, name, {**rule.defaults, "lr": 0.1}) for name in compared.procedures]


ADAM = "optimizer = torch.optim.Adam(model.parameters(), lr=0.1)"
OWN = "optimizer = ravine.Optimizer(model.parameters(), rule, lr=0.1)  # rule: "


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (rules.adam(), ADAM),
        (rules.adam(beta1=0.5), ADAM.replace("0.1)", "0.1, betas=(0.5, 0.999))")),
        (chain(clip_norm(1.0), rules.adam()), OWN),
        (rules.rmsprop(centered=True), OWN),
        (rules.adagrad(initial_accumulator_value=0.1), OWN),
    ],
    ids=["plain", "other defaults", "chain", "a choice", "a start of its own"],
)
def test_a_rule_goes_by_its_name_only_where_that_makes_it(rule, expected):
    (code,) = codes(rule)
    assert code.startswith(expected)


def test_every_part_is_typed():
    (code,) = codes(rules.adam(), "he_normal", schedules.cosine(27), ["shuffled_once"])
    start, optimizer, scheduler, sampler = code.splitlines()
    assert start == 'ravine.initializers.initialize(model, "he_normal")'
    assert optimizer == ADAM
    assert 'LambdaLR(optimizer, ravine.schedules.named("cosine", 27))' in scheduler
    assert "ravine.batches.shuffled_once()" in sampler


def test_an_older_folder_has_none():
    assert code_of({"titles": {}, "parts": {}}, "adam", {"lr": 0.1}) == ""


def test_a_stream_without_a_size_of_its_own_is_told_of_the_one_that_was_typed():
    problem = digits_problem()
    recipe = digits_recipe(
        train=Flowing(problem.train.inputs, problem.train.targets), batch_size=None
    )
    compared = arms_of(load(recipe, batch_size=16), [rules.sgd()], ["as_built"], ["constant"], [])
    (text,) = procedures_as_text(load(recipe, batch_size=16), compared).values()
    assert text["batch_size"] == 16
