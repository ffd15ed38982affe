"""Hidden units that start equal, and hidden units that do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine import rules
from ravine.initializers import Initializer, constant, he_normal, start
from ravine.training.lane import Member
from ravine.training.procedure import Procedure
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, mlp

STEPS = 54
RATES = {"sgd": 0.1, "momentum": 0.02, "adam": 0.01}
MAGNIFIED = {"sgd": 1.0, "momentum": 10.0, "adam": 1e8}
"""How many times its learning rate a rule moves by what a gradient changes: 1, 1/(1-α), at most 1/δ."""

SEEDS = range(77_000, 77_003)


def trained(name: str, weights: Initializer, seed: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Incoming weights and bias of each hidden unit [64, 65], outgoing ones [64, 10], and the cost."""
    problem = digits_problem(mlp, torch.float64, steps=STEPS)
    rule = rules.get(name)
    lane = SerialLane(problem, {name: Procedure(name, name, rule, start(weights))})
    trial = Trial(name, {**rule.defaults, "lr": RATES[name]}, seed)
    (member,) = lane.train([Member.new(trial)], STEPS, lambda steps: None)
    first, _, last = lane.module(member)
    incoming = torch.cat([first.weight, first.bias[:, None]], dim=1).detach()
    return incoming, last.weight.detach().T, member.run.curve[-1].cost


def apart(units: torch.Tensor) -> torch.Tensor:
    """Distances between all pairs of units, as multiples of the longest unit."""
    return torch.pdist(units) / units.norm(dim=1).max()


@pytest.mark.parametrize("name", RATES)
def test_equal_initial_weights_never_separate(name):
    """The notes: "If two hidden units have the same inputs and same activation function then they
    must have different initial parameters".

    Units of equal incoming and outgoing weights have equal gradients, so an elementwise rule takes
    equal steps. What may differ is the order in which a kernel sums 32 terms of order 1: by
    32 · 2⁻⁵³, times what a step makes of it (`MAGNIFIED`), 54 times. The weights themselves have
    moved, by a thousand times that at least, or nothing would be shown.
    """
    rounding = STEPS * RATES[name] * MAGNIFIED[name] * 32 * 2.0**-53
    for seed in SEEDS:
        incoming, outgoing, _ = trained(name, constant(0.05), seed)
        assert apart(incoming).max() <= rounding
        assert apart(outgoing).max() <= rounding
        assert (incoming[:, :-1] - 0.05).abs().max() > 1000 * rounding


@pytest.mark.parametrize("name", RATES)
def test_random_initial_weights_stay_apart(name):
    """The notes: "This motivates use random initialization of parameters".

    Two independent directions in 65 dimensions are √2 apart, ± 1/√65, in units of their length. 54
    small steps leave them so; and 64 different units train better than 64 times the same one, which
    gives ten scores that are all linear in one number.
    """
    for seed in SEEDS:
        incoming, _, cost = trained(name, he_normal(), seed)
        assert apart(incoming).min() > 0.5
        assert cost < trained(name, constant(0.05), seed)[2]


@pytest.mark.parametrize("name", RATES)
def test_of_equal_units_all_compute_one_function(name):
    """The incoming weights of 64 equal units have rank 1; of random ones full rank."""
    equal, _, _ = trained(name, constant(0.05), SEEDS[0])
    different, _, _ = trained(name, he_normal(), SEEDS[0])
    found = [np.linalg.matrix_rank(units.numpy(), tol=1e-6) for units in (equal, different)]
    # of 64 pixels some are always blank: their weights stay, equal ones equal, random ones random
    assert found == [1, 64]
