"""Does a recipe hang together? All of its data once forward, a minibatch back, before hours are spent."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ravine import hidden
from ravine.errors import RecipeError, said
from ravine.penalties import Penalty
from ravine.recipes.building import build_apart
from ravine.recipes.examples import EXAMPLES_AT_ONCE, Split
from ravine.recipes.recipe import Measure, Problem
from ravine.recipes.wording import INTEGERS, cast, described, shape
from ravine.seeds import derive


def check(problem: Problem) -> None:
    """Try what training will do: a gradient, and the cost and the metric of every example.

    Modules are built for this and dropped, and the global generator is left as it was.

    Raises:
        RecipeError: the model cannot be built anew for each trial or does not fit the data, the
            cost or the metric is not a finite 0-D number at the start, or has no gradient.
    """
    splits = {
        "training": problem.at_hand,
        "validation": problem.validation,
        "test": problem.test,
    }
    with torch.random.fork_rng(devices=[]):
        models = build_apart(problem)
        for seed, model in enumerate(models):
            torch.default_generator.manual_seed(derive(seed, "check"))
            _try_a_step(problem, model, seed)
        _tell_what_is_lost(problem, models[0])
        for which, split in splits.items():
            if split is not None:
                _try_all(problem, models[0], which, split)


def _try_a_step(problem: Problem, model: nn.Module, seed: int) -> None:
    """The gradient of a minibatch of each size that comes, in training mode."""
    model.train()
    for size in _sizes(problem):
        _try_a_minibatch(problem, model, seed, problem.train.first(size))


def _tell_what_is_lost(problem: Problem, model: nn.Module) -> None:
    """Warn of what a step changes that no trial has for itself, or that no checkpoint can hold.

    It may be a mere log, on which nothing depends; nobody can tell. What only the first step changes,
    as of a cache, has been changed by now.
    """
    before = _kept_nowhere(problem, model)
    _try_a_minibatch(problem, model, 0, problem.train.first(problem.batch_size))
    after = _kept_nowhere(problem, model)
    found = hidden.different(before, after)
    if found:
        warnings.warn(
            f"each step changes {', '.join(found)}, which is no part of a trial: if the training depends "
            "on it, trials depend on each other, and a continued one differs; keep it in a buffer, or in "
            "an attribute of the module that is a number, text, a tensor, or a list or dict of these",
            RuntimeWarning,
            stacklevel=4,
        )


def _kept_nowhere(problem: Problem, model: nn.Module) -> dict[str, Any]:
    held = hidden.attributes(model, opaque=True)
    reached = hidden.outside(model, *problem.recipe.functions)
    return {**{n: value for n, value in held.items() if hidden.is_opaque(value)}, **reached}


def _sizes(problem: Problem) -> list[int]:
    """How many examples minibatches have: the usual number, and that of a last, smaller one."""
    examples = problem.train.count
    rest = 0 if examples is None else examples % problem.batch_size
    kept = rest > 0 and problem.recipe.last_batch == "keep"
    return [problem.batch_size, *([rest] if kept else [])]


def _try_a_minibatch(problem: Problem, model: nn.Module, seed: int, split: Split) -> None:
    where = f"on training examples 1 to {len(split)} under seed {seed}"
    output = _output(model, "training", split.inputs)
    cost = _measured(problem.recipe.cost, "cost", output, split.targets, where)
    _try_penalty(problem.recipe.penalty, model)
    params = [p for p in model.parameters() if p.requires_grad]
    grads: tuple[Tensor | None, ...] = ()
    if cost.requires_grad:
        try:
            grads = torch.autograd.grad(cost, params, allow_unused=True)
        except Exception as error:
            raise RecipeError(
                f"the cost has no gradient for an output of {described(output)} with targets of "
                f"{described(split.targets)}: {said(error)}{_hint(output, split.targets, error)}"
            ) from error
    if all(grad is None for grad in grads):
        raise RecipeError(
            "the cost does not depend on the model's parameters; nothing to train. "
            "Expected a cost computed from the output, without .detach(), .item() or no_grad()"
        )


def _try_penalty(penalty: Penalty | None, model: nn.Module) -> None:
    if penalty is None:
        return
    try:
        value = penalty({n: p for n, p in model.named_parameters() if p.requires_grad})
    except Exception as error:
        raise RecipeError(
            f"the penalty does not take the model's parameters: {said(error)}; "
            "expected a function (parameters by name) -> number"
        ) from error
    if not isinstance(value, Tensor) or value.ndim != 0 or not value.isfinite():
        got = f"{value:g}" if isinstance(value, float) else type(value).__name__
        raise RecipeError(
            f"the penalty is {got}; expected one finite number (a real 0-D tensor), "
            "e.g. penalty=ravine.penalties.l2(1e-4)"
        )


@torch.no_grad()
def _try_all(problem: Problem, model: nn.Module, which: str, split: Split) -> None:
    """Cost and metric of all examples of a split, a slice at a time, in evaluation mode."""
    model.eval()
    for start in range(0, len(split), EXAMPLES_AT_ONCE):
        part = _part(split, start, EXAMPLES_AT_ONCE)
        where = f"on {which} examples {start + 1} to {start + len(part)}"
        output = _output(model, which, part.inputs)
        _measured(problem.recipe.cost, "cost", output, part.targets, where)
        _measured(problem.recipe.measure, "metric", output, part.targets, where)


def _part(split: Split, start: int, count: int) -> Split:
    return Split(split.inputs[start : start + count], split.targets[start : start + count])


def _output(model: nn.Module, which: str, inputs: Tensor) -> Tensor:
    try:
        output = model(inputs)
    except Exception as error:
        raise RecipeError(
            f"the model does not take the {which} inputs of {described(inputs)}: "
            f"{said(error)}{_dtype_hint(model, inputs, error)}"
        ) from error
    if not isinstance(output, Tensor):
        raise RecipeError(
            f"the model returned {type(output).__name__} for the {which} inputs; "
            "expected one tensor [examples, ...]"
        )
    return output


def _measured(measure: Measure, kind: str, output: Tensor, targets: Tensor, where: str) -> Tensor:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Using a target size", UserWarning)
            value = measure(output, targets)
    except Exception as error:
        broadcast = isinstance(error, UserWarning)
        why = "they would be broadcast against each other" if broadcast else said(error)
        raise RecipeError(
            f"the {kind} does not take an output of shape {shape(output)} with targets of "
            f"{described(targets)}: {why}{_hint(output, targets, error)}"
        ) from error
    if not isinstance(value, Tensor) or value.ndim != 0 or value.is_complex():
        got = type(value).__name__
        if isinstance(value, Tensor):
            got = f"{value.dtype} of shape {shape(value)}"
        raise RecipeError(
            f"the {kind} returned {got}; expected one number (a real 0-D tensor), "
            "the mean over the examples, e.g. reduction='mean'"
        )
    if not value.isfinite():
        raise RecipeError(
            f"the {kind} is {value.item()} before any training, {where}; expected a finite number"
        )
    return value


def _dtype_hint(model: nn.Module, inputs: Tensor, error: Exception) -> str:
    """What to type where inputs and parameters are of different types, and torch minds."""
    dtype = next(p.dtype for p in model.parameters() if p.requires_grad)
    if inputs.dtype == dtype or "type" not in str(error):
        return ""
    return f"; the model's parameters are {dtype}: give the inputs{cast(dtype)}"


def _hint(output: Tensor, targets: Tensor, error: Exception) -> str:
    """What to type, where torch's complaint tells which of the usual slips it is."""
    text = str(error)
    classes = output.shape[1] if output.ndim == 2 else 0
    if "Long" in text and targets.dtype is not torch.int64:
        return "; class indices are whole numbers: give the targets.long()"
    if classes > 1 and targets.dtype in INTEGERS:
        if targets.shape[1:] == (1,):
            return "; class indices are [examples]: give the targets.reshape(-1)"
        if targets.ndim == 1 and (int(targets.min()) < 0 or int(targets.max()) >= classes):
            return f"; expected classes numbered from 0 to {classes - 1}, e.g. targets - 1"
    sizes = "size" in text or "shape" in text
    if sizes and output.shape != targets.shape and output.numel() == targets.numel():
        reshaped = ", ".join(map(str, (-1, *output.shape[1:])))
        return f"; give both the same shape: targets.reshape({reshaped})"
    if "type" in text and output.dtype != targets.dtype:
        return f"; give both the same type: targets{cast(output.dtype)}"
    return ""
