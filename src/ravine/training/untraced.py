"""What a step of a module does besides computing on parameters and buffers; a traced graph loses it."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ravine import hidden
from ravine.recipes import Problem, build_model
from ravine.seeds import derive, forked_generators, seed_python
from ravine.training.noise import Keyed, keyed


def untraced(problem: Problem) -> str | None:
    """What stands in the way of one traced graph for all members, in a line; None if nothing was seen.

    Seen are, whatever their effect on the first steps:
        attributes that differ from seed to seed, or that a forward pass changes;
        globals, class attributes and closures that it changes;
        buffers set to new tensors, which a functional call loses; parameters written in place;
        numbers of a global generator of Python, NumPy or torch;
        hooks on parameters' gradients, which other tensors do not have.
    """
    with forked_generators():
        seed_python(derive(0, "untraced"))
        torch.default_generator.manual_seed(derive(0, "untraced"))
        model, other = (keyed(build_model(problem, seed)) for seed in (0, 1))
        apart = hidden.different(_attributes(model), _attributes(other))
        if apart:
            return f"its attribute {apart[0]} differs from seed to seed; make it a buffer"
        hooked = [name for name, p in model.named_parameters() if _hooks(p)]
        if hooked:
            return f"its parameter {hooked[0]} has a hook on its gradient"
        for inputs, targets in _minibatches(problem):
            found = _changed(problem, model, inputs, targets)
            if found is not None:
                return found
    return None


def _minibatches(problem: Problem) -> Iterator[tuple[Tensor, Tensor]]:
    """The first minibatch, twice, and one of the size of a last, smaller one."""
    count = problem.train.count
    rest = 0 if count is None else count % problem.batch_size
    sizes = [problem.batch_size] * 2
    if rest and problem.recipe.last_batch == "keep":
        sizes.append(rest)
    for size in sizes:
        first = problem.train.first(size)
        yield first.inputs, first.targets


def _changed(problem: Problem, model: nn.Module, inputs: Tensor, targets: Tensor) -> str | None:
    """What one forward and one backward pass change that they should not."""
    recipe = problem.recipe

    def look() -> tuple[dict[str, Any], ...]:
        buffers = {n: id(b) for n, b in model.named_buffers()}
        written = {n: (id(p), p._version, p.requires_grad) for n, p in model.named_parameters()}
        reached = hidden.outside(model, *recipe.functions)
        drawn = {name: state() for name, state in GENERATORS.items()}
        return _attributes(model), buffers, written, reached, drawn

    before = look()
    params = {name: p for name, p in model.named_parameters() if p.requires_grad}
    cost = recipe.objective(model(inputs), targets, params)
    torch.autograd.grad(cost, list(params.values()), allow_unused=True)
    for reason, one, two in zip(REASONS, before, look(), strict=True):
        found = hidden.different(one, two)
        if found:
            return reason.format(found[0])
    return None


def _attributes(model: nn.Module) -> dict[str, Any]:
    return hidden.attributes(model, (Keyed,), opaque=True)


def _hooks(parameter: nn.Parameter) -> bool:
    after = getattr(parameter, "_post_accumulate_grad_hooks", None)
    return bool(parameter._backward_hooks) or bool(after)


GENERATORS: dict[str, Callable[[], Any]] = {
    "torch": torch.get_rng_state,
    "Python": random.getstate,
    "NumPy": lambda: pickle.dumps(np.random.get_state()),
}
"""Global generators, and what tells whether they were drawn from."""

REASONS = (
    "it changes its attribute {} in a forward pass; make it a buffer that is written in place",
    "it sets its buffer {} to a new tensor in a forward pass; write it in place",
    "it changes its parameter {} in a forward pass",
    "it changes {} in a step, which is no part of the model",
    "it draws from the global generator of {}",
)
