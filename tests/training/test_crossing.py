"""A member that goes on by another procedure, or in the population lane."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from ravine import chain, clip_norm, decoupled, l2, rules
from ravine.training.crossing import forked, into_population, remember_alike
from ravine.training.lane import Member
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, mlp, noisy, plain


def unheard(steps: int) -> None: ...


def alike(ours, theirs) -> bool:
    flat = torch.cat([block.reshape(-1) for block in theirs])
    return bool(((ours - flat).abs().max() / flat.abs().max()) < 1e-10)


@pytest.mark.parametrize("name", ["sgd", "adam", "nesterov", "lamb", "muon"])
def test_it_trains_on_as_if_it_had_stayed(name):
    """In float64. Elementwise, probing, tensor and matrix rules; dropout, batch norm, a frozen bias."""
    problem = digits_problem(noisy, torch.float64, patience=20)
    procedures = plain(name)
    serial = SerialLane(problem, procedures)
    trial = procedures[name].trial(procedures[name].rule.defaults["lr"], 3)
    (half,) = serial.train([Member.new(trial)], 9, unheard)
    population = PopulationLane(problem, procedures, 1, compiled=False)
    (moved,) = population.train([into_population(copy.deepcopy(half), population)], 27, unheard)
    (stayed,) = serial.train([half], 27, unheard)
    assert alike(moved.snapshot["weights"], stayed.snapshot["weights"])
    assert alike(moved.snapshot["best"]["weights"], stayed.snapshot["best"]["weights"])
    assert moved.run.curve[:10] == stayed.run.curve[:10]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (rules.adam(), chain(clip_norm(1.0), rules.adam(lr=0.1), decoupled(0.1)), True),
        (rules.sgd(), chain(l2(0.1), rules.sgd()), True),
        (rules.sgd(), rules.momentum(), False),
        (rules.adam(), rules.lamb(), False),  # the same entries, by parameter
    ],
)
def test_rules_remember_alike_if_their_states_have_one_form(one, other, alike):
    procedures = (Procedure.of(rule) for rule in (one, other))
    assert remember_alike(*procedures, mlp()) == alike


def test_a_fork_leaves_the_member_as_it_was():
    lane = SerialLane(digits_problem(), plain("adam"))
    trial = plain("adam")["adam"].trial(0.01, 3)
    (half,) = lane.train([Member.new(trial)], 9, unheard)
    before = copy.deepcopy(half)
    faster = replace(trial, hyper={**trial.hyper, "lr": 0.1})
    lane.train([forked(half, faster)], 27, unheard)
    assert half.run == before.run
    for ours, theirs in zip(half.snapshot["state"], before.snapshot["state"], strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    (stayed,) = lane.train([half], 27, unheard)
    (alone,) = lane.train([Member.new(trial)], 27, unheard)
    assert stayed.run == alone.run


def test_one_that_has_not_trained_is_left_alone():
    lane = PopulationLane(digits_problem(), plain("sgd"), 1, compiled=False)
    member = Member.new(plain("sgd")["sgd"].trial(0.1, 0))
    assert into_population(member, lane) is member
