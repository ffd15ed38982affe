"""Trainings of digits networks, many seeds at once, in the population lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ravine import rules
from ravine.batches import Order
from ravine.recipes import Problem, Split
from ravine.rules import Rule
from ravine.training.lane import Lane, Member
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.records import Run, Trial
from tests.problems import digits_problem
from tests.references import Array


def wide() -> nn.Module:
    """A network that learns its training digits by heart."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def runs_of(
    problem: Problem, procedures: Mapping[str, Procedure], trials: list[Trial]
) -> list[Run]:
    """The runs of all trials, in their order."""
    lane: Lane = PopulationLane(problem, procedures, len(trials), compiled=False)
    (chunk,) = lane.chunks([Member.new(trial) for trial in trials])
    done = lane.train(chunk, problem.steps, lambda steps: None)
    by_trial = {_key(member.run.trial): member.run for member in done}
    return [by_trial[_key(trial)] for trial in trials]


def _key(trial: Trial) -> tuple[str, float, int]:
    return trial.procedure, trial.lr, trial.seed


def curves(problem: Problem, split: Split, seeds: Sequence[int], rule: Rule) -> tuple[Array, Array]:
    """Cost and metric on a split at each evaluation, [seeds, evaluations] each."""
    problem = replace(problem, validation=split)
    trials = [Trial(rule.name, rule.defaults, seed) for seed in seeds]
    runs = runs_of(problem, {rule.name: Procedure.of(rule)}, trials)
    cost = [[point.validation_cost for point in run.curve] for run in runs]
    metric = [[point.validation_metric for point in run.curve] for run in runs]
    return np.array(cost), np.array(metric)


def held_out() -> Split:
    """Validation and test digits together, 719: neither chooses anything here."""
    problem = digits_problem(wide)
    assert problem.test is not None
    parts = (problem.validation, problem.test)
    return Split(torch.cat([s.inputs for s in parts]), torch.cat([s.targets for s in parts]))


def after_the_last_error(seeds: Sequence[int], epochs: int, rule: Rule) -> dict[str, Array]:
    """What happens once the training 0-1 loss has reached zero for good.

    Returns:
        By name, [seeds]: the evaluation (of 27) from which on no training example is wrong, the
        held-out error and cost there and at the end, and the training cost there and at the end.
    """
    problem = digits_problem(wide, epochs=epochs, steps=None)
    assert isinstance(problem.train, Split)
    train_cost, train_error = curves(problem, problem.train, seeds, rule)
    cost, error = curves(problem, held_out(), seeds, rule)
    wrong = np.flip(np.cumsum(np.flip(train_error, axis=1), axis=1), axis=1) > 0
    zero = wrong.sum(axis=1)
    if (zero == cost.shape[1]).any():
        raise AssertionError("some training examples are still wrong at the end: train longer")
    at = np.arange(len(cost)), zero
    return {
        "zero": zero,
        "error_then": error[at],
        "error_at_end": error[:, -1],
        "cost_then": cost[at],
        "cost_at_end": cost[:, -1],
        "train_cost_then": train_cost[at],
        "train_cost_at_end": train_cost[:, -1],
    }


def by_class(problem: Problem) -> Problem:
    """The same problem, its training examples stored class after class."""
    assert isinstance(problem.train, Split)
    place = problem.train.targets.argsort(stable=True)
    train = Split(problem.train.inputs[place], problem.train.targets[place])
    return replace(problem, train=train)


def final_costs(
    problem: Problem, orders: Mapping[str, Order], seeds: Sequence[int], lr: float
) -> dict[str, Array]:
    """Validation cost of SGD at the end under each order of examples, [seeds]."""
    sgd = rules.sgd()
    arms = {name: Procedure(name, name, sgd, order=order) for name, order in orders.items()}
    trials = [Trial(name, {"lr": lr}, seed) for name in arms for seed in seeds]
    ends = [run.curve[-1].validation_cost for run in runs_of(problem, arms, trials)]
    return dict(zip(arms, np.array(ends).reshape(len(arms), len(seeds)), strict=True))


def by_rate(problem: Problem, rates: Sequence[float], seeds: Sequence[int]) -> tuple[Array, Array]:
    """Cost and metric at the end of SGD, [rates, seeds] each; infinite where a run diverged."""
    trials = [Trial("sgd", {"lr": rate}, seed) for rate in rates for seed in seeds]
    runs = runs_of(problem, {"sgd": Procedure.of(rules.sgd())}, trials)
    ends = [run.curve[-1] for run in runs]
    shape = (len(rates), len(seeds))
    cost = np.array([p.validation_cost for p in ends]).reshape(shape)
    metric = np.array([p.validation_metric for p in ends]).reshape(shape)
    diverged = ~np.isfinite(cost)
    return np.where(diverged, np.inf, cost), np.where(diverged, np.inf, metric)


def largest_stable_rates(
    batch_size: int, steps: int, rates: Sequence[float], seeds: Sequence[int]
) -> Array:
    """The largest rate up to which all rates end below ln 10, the cost of knowing nothing; [seeds].

    0 where even the least rate does not.
    """
    problem = digits_problem(batch_size=batch_size, steps=steps)
    assert isinstance(problem.train, Split)
    costs, _ = by_rate(replace(problem, validation=problem.train), rates, seeds)
    stable = np.cumprod(costs < np.log(10), axis=0).sum(axis=0)
    return np.array([0.0, *rates])[stable]
