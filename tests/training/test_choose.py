"""The lane that is chosen can train the recipe, and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ravine import rules
from ravine.errors import SettingError, UnknownNameError
from ravine.training import choose as choosing
from ravine.training.choose import choose, why_not_population
from ravine.training.procedure import Procedure
from ravine.training.records import Trial
from tests.problems import digits_problem, mlp, noisy, plain

PLAIN = plain("sgd", "adam")
TRIALS = [Trial(name, PLAIN[name].rule.defaults, seed) for name in PLAIN for seed in (0, 1)]


class Counting(nn.Module):
    """Reassigns a buffer, which functional calls lose."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return self.linear(x) * (1 + self.calls)


class Branching(nn.Module):
    """Looks at data."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear(x)
        return out if out.sum() > 0 else out * 2


class Rolling(nn.Module):
    """Draws noise of its own, without a module that can be keyed."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(nn.functional.dropout(x, 0.5, self.training))


@pytest.mark.parametrize("model", [mlp, noisy])
def test_ordinary_modules_fit(model):
    assert why_not_population(digits_problem(model), PLAIN, TRIALS[::2]) is None


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Counting, "it sets its buffer calls to a new tensor"),
        (Branching, "cannot be vmapped"),
        (Rolling, "it draws from the global generator of torch"),
    ],
)
def test_auto_turns_to_serial_and_says_why(model, reason):
    choice = choose(digits_problem(model), PLAIN, TRIALS, "auto", 4, work=1)
    assert choice.lane.name == "serial"
    assert reason in choice.reason
    if model is Branching:
        assert "cannot be vmapped (RuntimeError: " in choice.reason
    assert "\n" not in choice.reason


def test_population_is_refused_where_it_cannot_be():
    with pytest.raises(SettingError, match="--lane population cannot train this recipe"):
        choose(digits_problem(Branching), PLAIN, TRIALS, "population", 4, work=1)


def test_one_rule_that_does_not_fit_sends_all_to_serial():
    def update(param, grad, state, hyper):
        return param - hyper["lr"] * grad.flip(0), {}  # the first axis is not the same in both

    alone = replace(rules.sgd(lr=1.0), name="alone", update=update)
    both = {rule.name: Procedure.of(rule) for rule in (rules.adam(), alone)}
    trials = [Trial(name, arm.rule.defaults, 0) for name, arm in both.items()]
    choice = choose(digits_problem(), both, trials, "auto", 2, work=1)
    assert choice.lane.name == "serial"
    assert "it trains differently when vmapped" in choice.reason


def test_as_many_members_as_fit_into_memory_train_together(monkeypatch):
    monkeypatch.setattr(choosing, "members_that_fit", lambda problem: 3)
    assert choose(digits_problem(), PLAIN, TRIALS, "population", 8, work=1).lane.capacity == 3
    assert choose(digits_problem(), PLAIN, TRIALS, "population", 2, work=1).lane.capacity == 2
    monkeypatch.setattr(choosing, "members_that_fit", lambda problem: 1)
    choice = choose(digits_problem(), PLAIN, TRIALS, "auto", 8, work=1)
    assert choice.lane.name == "serial"
    assert choice.reason == "two members at once do not fit into memory"


def test_what_cannot_be_compiled_is_left_out_with_a_warning(monkeypatch):
    real = choosing._seconds

    def failing(lane, trials):
        if lane.compiled:
            raise NotImplementedError("no such kernel")
        return real(lane, trials)

    monkeypatch.setattr(choosing, "_seconds", failing)
    with pytest.warns(
        RuntimeWarning, match="cannot be compiled: NotImplementedError: no such kernel"
    ):
        choice = choose(digits_problem(), PLAIN, TRIALS, "auto", 4, work=10**9)
    assert not choice.lane.compiled


def test_unknown_lane():
    with pytest.raises(UnknownNameError, match="did you mean serial"):
        choose(digits_problem(), PLAIN, TRIALS, "seriel", 4, work=1)


def test_auto_takes_the_fastest(monkeypatch):
    """Timings are made up here; what is tested is what follows from them."""
    seconds = {("serial", False): 1.0, ("population", False): 2.0, ("population", True): 0.5}

    def timed(lane, trials):
        return seconds[lane.name, lane.compiled]

    monkeypatch.setattr(choosing, "_seconds", timed)
    short = choose(digits_problem(), PLAIN, TRIALS, "auto", 4, work=10)
    assert short.lane.name == "serial"  # 10 s of work: compiling is not tried
    long = choose(digits_problem(), PLAIN, TRIALS, "auto", 4, work=1000)
    assert (long.lane.name, long.lane.compiled) == ("population", True)
    seconds["population", False] = 0.1
    plain = choose(digits_problem(), PLAIN, TRIALS, "auto", 4, work=1000)
    assert (plain.lane.name, plain.lane.compiled) == ("population", False)
    assert plain.step_seconds == {"sgd": 1.0, "adam": 1.0}
