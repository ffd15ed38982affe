"""What is compared: combinations, their names, and what cannot be used."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine import batches, rules, schedules
from ravine.comparison.arms import arms_of, try_starts
from ravine.errors import SettingError, UnknownNameError, UnknownOptionError
from ravine.initializers import Start, start
from tests.problems import digits_problem
from tests.training.test_sources import Flowing

RULES = [rules.sgd(), rules.adam()]


def compared(problem=None, starts=("as_built",), rates=("constant",), orders=()):
    return arms_of(problem or digits_problem(), RULES, starts, rates, orders)


def made(*args, **kwargs):
    return compared(*args, **kwargs).procedures


def test_plain_optimizers_are_named_like_their_rules():
    arms = made()
    assert list(arms) == ["sgd", "adam"]
    assert [arm.title for arm in arms.values()] == ["SGD", "Adam"]
    assert all(arm.schedules == {} for arm in arms.values())


def test_a_dimension_of_one_level_is_in_no_name():
    arms = made(starts=["he_normal"], rates=["cosine"], orders=["stored"])
    assert list(arms) == ["sgd", "adam"]
    assert arms["sgd"].start is start("he_normal")
    assert arms["sgd"].schedules["lr"] == schedules.cosine(27)
    assert arms["sgd"].order == batches.stored()


def test_every_combination_is_compared_once():
    both = compared(starts=["as_built", "lsuv"], rates=["constant", "warmup+linear"])
    arms = both.procedures
    assert list(arms) == [
        f"{rule}/{begin}/{rate}"
        for rule in ("sgd", "adam")
        for begin in ("as_built", "lsuv")
        for rate in ("constant", "warmup+linear")
    ]
    assert arms["sgd/lsuv/warmup+linear"].title == "SGD · lsuv · warmup+linear"
    assert both.parts["adam/lsuv/constant"] == {
        "optimizer": "adam", "init": "lsuv", "schedule": "constant", "batches": "shuffled",
        "batch_size": "32",
    }  # fmt: skip
    assert arms["adam/lsuv/constant"].rule is arms["adam/as_built/constant"].rule


def test_the_recipes_own_order_is_the_default():
    own = compared(digits_problem(batches=batches.stored()))
    assert own.procedures["sgd"].order is None
    assert own.parts["sgd"]["batches"] == "stored"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"starts": ["he_normal", "he_normal"]}, SettingError, "--init gives 'he_normal' twice"),
        ({"rates": ["cosine", "cosine"]}, SettingError, "--schedule gives 'cosine' twice"),
        ({"orders": ["stored", "stored"]}, SettingError, "--batches gives 'stored' twice"),
        ({"starts": ["he_norm"]}, UnknownNameError, "did you mean he_normal"),
        ({"rates": ["cosin"]}, UnknownNameError, "did you mean cosine"),
        ({"orders": ["shufled"]}, UnknownNameError, "did you mean shuffled"),
        ({"rates": [0.1]}, SettingError, "expected a name, e.g. 'cosine', a schedule"),
        ({"orders": [3]}, SettingError, "expected a name, e.g. 'shuffled', or an order"),
        ({"starts": [3]}, SettingError, "expected a name, an initializer or a function"),
    ],
)
def test_what_cannot_be_used_is_refused(changes, error, said):
    with pytest.raises(error, match=said):
        made(**changes)


def test_a_stream_has_an_order_of_its_own():
    recipe = digits_problem().recipe
    problem = digits_problem(train=Flowing(*recipe.train))
    assert compared(problem).parts["sgd"]["batches"] == "streamed"
    with pytest.raises(SettingError, match="'stored' came for a stream, which has its own"):
        made(problem, orders=["stored"])
    with pytest.raises(SettingError, match="'stored' came for a stream, which has its own"):
        digits_problem(train=Flowing(*recipe.train), batches=batches.stored())


def test_an_order_that_ends_too_early_is_refused():
    with pytest.raises(SettingError, match=r"'stream' ends after 33 gradient steps.* has 54"):
        digits_problem(steps=54, batches=batches.stream())
    with pytest.raises(SettingError, match="'stream' ends after 33 gradient steps"):
        made(digits_problem(steps=54), orders=[batches.stream()])


def test_a_constant_factor_is_no_plain_constant():
    half = 0.5 * schedules.constant()
    arms = made(rates=[schedules.constant(), half])
    assert [dict(arm.schedules) for arm in arms.values()][:2] == [{}, {"lr": half}]
    assert half(3) == 0.5


def test_schedules_of_one_name_are_told_apart_by_how_they_are_typed():
    arms = made(rates=[schedules.cosine(27), schedules.cosine(27, final=0.1)])
    assert list(arms)[:2] == ["sgd/cosine(27,final=0.0)", "sgd/cosine(27,final=0.1)"]


def test_two_starts_of_one_name_do_not_become_one():
    """Two lambdas: neither is lost unseen."""
    ones = Start("<lambda>", lambda model, *_: nn.init.ones_(next(model.parameters())))
    twos = Start("<lambda>", lambda model, *_: nn.init.constant_(next(model.parameters()), 2.0))
    with pytest.raises(SettingError, match="--init gives two that are named '<lambda>'"):
        made(starts=[ones, twos])


def test_any_hyperparameter_may_be_scheduled():
    rising = {"lr": schedules.cosine(27), "momentum": schedules.ramp(0.5, 0.9, 27)}
    both = arms_of(digits_problem(), [rules.momentum()], ["as_built"], ["constant", rising], [])
    name = "momentum/cosine+momentum:ramp"
    assert both.procedures[name].schedules == rising
    assert both.parts[name]["schedule"] == "cosine+momentum:ramp"
    with pytest.raises(UnknownOptionError, match="did you mean momentum"):
        arms_of(
            digits_problem(), [rules.momentum()], ["as_built"], [{"momentun": rising["lr"]}], []
        )


def test_starts_that_do_the_same_are_refused():
    problem = digits_problem()
    with pytest.raises(SettingError, match="--init zeros and constant start this model alike"):
        try_starts(problem, made(problem, ["zeros", "constant"]))


class Theta(nn.Module):
    """A parameter that is in no layer."""

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.randn(64, 10))

    def forward(self, x):
        return x @ self.theta


def test_a_start_that_changes_nothing_is_refused():
    problem = digits_problem(Theta)
    try_starts(problem, made(problem))
    with pytest.raises(SettingError, match="--init he_normal"):
        try_starts(problem, made(problem, ["as_built", "he_normal"]))


def breaking(model, seed, inputs, targets, cost):
    raise KeyError("no such layer")


def infinite(model, seed, inputs, targets, cost):
    next(model.parameters()).data.fill_(torch.inf)


@pytest.mark.parametrize(
    ("apply", "said"),
    [
        (breaking, "--init mine cannot be used with this model: KeyError: 'no such layer'"),
        (infinite, "--init mine makes parameters of this model NaN or infinite"),
    ],
)
def test_a_start_that_fails_is_refused_in_one_line(apply, said):
    problem = digits_problem()
    with pytest.raises(SettingError, match=said):
        try_starts(problem, made(problem, [Start("mine", apply)]))
