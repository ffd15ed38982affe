"""Batch-norm statistics of weights that are evaluated but were never trained at: averages."""

from __future__ import annotations

import torch
from torch import nn

from ravine.normalization import batch_norms, refresh
from ravine.recipes import Problem
from ravine.rules import Rule, at_param

EXAMPLES_AT_ONCE = 512


def needs_refreshing(rule: Rule, model: nn.Module) -> bool:
    """Whether statistics gathered while training are those of other weights than are evaluated.

    So it is where a rule evaluates an average (SWA, Polyak, Schedule-Free) and the model has batch
    norms. Nesterov's weights are one momentum step from those it was trained at; they are left.
    """
    tracked = any(norm.running_mean is not None for norm in batch_norms(model).values())
    return tracked and rule.output is not at_param


def refresh_from(problem: Problem, model: nn.Module) -> None:
    """Measure a module's batch-norm statistics on a sample of the training examples, in place."""
    refresh(model, torch.split(problem.sample.inputs, EXAMPLES_AT_ONCE))
