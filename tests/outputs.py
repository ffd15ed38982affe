"""Rules whose weights to evaluate are not the stored parameter, and what these weights should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ravine import rules
from ravine.rules import Rule, State
from tests import references
from tests.cases import Ravine, hyper_of
from tests.references import Array

OUTPUTS: Mapping[Callable[..., Rule], Callable[..., Array]] = {
    rules.asgd: references.asgd_average,
    rules.schedule_free_sgd: references.schedule_free_sgd_average,
    rules.schedule_free_adamw: references.schedule_free_adamw_average,
}


def walk_outputs(rule: Rule, problem: Ravine, hyper: Mapping[str, Tensor] | None = None) -> Array:
    """The weights to evaluate after every step of `rule`, [steps, *shape]."""
    hyper = hyper_of(rule) if hyper is None else hyper
    theta = torch.from_numpy(problem.start.copy())
    state: State = rule.init(theta)
    path = []
    for k in range(len(problem.noise)):
        grad = problem.gradient_at(rule.probe(theta, state, hyper), k)
        theta, state = rule.update_for(state)(theta, grad, state, hyper)
        path.append(rule.output(theta, state, hyper).numpy())
    return np.array(path)
