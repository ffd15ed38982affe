"""Where a training starts: the recipe's module, with the parameters that a procedure gives it."""

from __future__ import annotations

import torch
from torch import nn

from ravine.recipes import Problem, build_model
from ravine.seeds import derive
from ravine.training.noise import keyed
from ravine.training.procedure import Procedure


def starting_model(problem: Problem, procedure: Procedure, seed: int) -> nn.Module:
    """The module before its first step, dropout keyed; the global generator is left as it was.

    Starts that look at data see the same examples whatever the seed and the order of examples.
    """
    model, examples = build_model(problem, seed), problem.sample
    with torch.random.fork_rng(devices=[]):
        procedure.start(
            model,
            derive(seed, "start"),
            examples.inputs,
            examples.targets,
            problem.recipe.cost,
        )
    return keyed(model)
