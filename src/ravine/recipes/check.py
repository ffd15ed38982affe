"""Does a recipe hang together? One forward pass and one backward pass, before hours are spent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ravine.errors import RecipeError
from ravine.recipes.recipe import Measure, Problem, Split
from ravine.seeds import derive


def build_model(problem: Problem, seed: int) -> nn.Module:
    """The recipe's module as initialized under `seed`; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "init"))
        return problem.recipe.model()


def check(problem: Problem) -> None:
    """Try a minibatch of each split forward, and whether the cost can be trained on.

    Raises:
        RecipeError: the model cannot be built or does not fit the data, or the cost or the metric
            is not a finite 0-D number at the start.
    """
    model = _built(problem)
    splits = {"validation": problem.validation, "test": problem.test, "training": problem.train}
    for which, split in splits.items():
        if split is not None:
            cost = _tried(problem, model, which, split)
    if not cost.requires_grad:
        raise RecipeError("the cost does not depend on the model's parameters; nothing to train")


def _tried(problem: Problem, model: nn.Module, which: str, split: Split) -> Tensor:
    """The cost of the split's first minibatch."""
    inputs, targets = split.inputs[: problem.batch_size], split.targets[: problem.batch_size]
    model.train(which == "training")
    try:
        output = model(inputs)
    except Exception as error:
        raise RecipeError(
            f"the model does not take the {which} inputs of shape {_shape(inputs)} "
            f"({inputs.dtype}): {_first_line(error)}"
        ) from error
    _measured(problem.recipe.measure, "metric", output.detach(), targets)
    return _measured(problem.recipe.cost, "cost", output, targets)


def _built(problem: Problem) -> nn.Module:
    try:
        model = build_model(problem, seed=0)
    except Exception as error:
        raise RecipeError(f"the model cannot be built: {_first_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise RecipeError(
            f"model() returned {type(model).__name__}; expected a torch.nn.Module, "
            "e.g. model=lambda: nn.Linear(64, 10)"
        )
    if not any(p.requires_grad for p in model.parameters()):
        raise RecipeError("the model has no trainable parameters")
    return model


def _measured(measure: Measure, kind: str, output: Tensor, targets: Tensor) -> Tensor:
    try:
        value = measure(output, targets)
    except Exception as error:
        raise RecipeError(
            f"the {kind} does not take an output of shape {_shape(output)} with targets of shape "
            f"{_shape(targets)} ({targets.dtype}): {_first_line(error)}"
        ) from error
    if not isinstance(value, Tensor) or value.ndim != 0:
        got = f"shape {_shape(value)}" if isinstance(value, Tensor) else type(value).__name__
        raise RecipeError(
            f"the {kind} returned {got}; expected one number (a 0-D tensor), "
            "the mean over the examples, e.g. reduction='mean'"
        )
    if not value.isfinite():
        raise RecipeError(
            f"the {kind} is {value.item()} before any training; expected a finite number"
        )
    return value


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
