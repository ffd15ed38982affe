"""Where a training starts: the recipe's module, with the parameters that a procedure gives it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ravine.recipes import Problem, build_model
from ravine.seeds import derive
from ravine.training.noise import keyed
from ravine.training.procedure import Procedure


def starting_model(
    problem: Problem, procedure: Procedure, seed: int, inputs: Tensor, targets: Tensor
) -> nn.Module:
    """The module before its first step, dropout keyed; the global generator is left as it was.

    Args:
        problem, procedure, seed: what will be trained.
        inputs, targets: the run's first minibatch, for starts that look at data.
    """
    model = build_model(problem, seed)
    with torch.random.fork_rng(devices=[]):
        procedure.start(model, derive(seed, "start"), inputs, targets, problem.recipe.cost)
    return keyed(model)
