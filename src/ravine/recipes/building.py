"""Building a recipe's module: every trial starts from one of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ravine.errors import RecipeError, said
from ravine.recipes.recipe import Problem
from ravine.recipes.wording import DTYPES
from ravine.seeds import derive, forked_generators, seed_python


def build_model(problem: Problem, seed: int) -> nn.Module:
    """The recipe's module as initialized under `seed`; the global generators are left as they were."""
    with forked_generators():
        torch.manual_seed(derive(seed, "init"))
        seed_python(derive(seed, "init"))
        return problem.recipe.model()


def build_apart(problem: Problem) -> tuple[nn.Module, nn.Module]:
    """The modules of seeds 0 and 1.

    Raises:
        RecipeError: they cannot be built or trained, or have a tensor in common. What one trial
            learned would then be the start of the next.
    """
    first, second = (_built(problem, seed) for seed in (0, 1))
    taken = {_address(tensor) for _, tensor in _tensors(first)} - {0}
    common = [name for name, tensor in _tensors(second) if _address(tensor) in taken]
    if first is second or common:
        what = f"the same {common[0]!r}" if common else "the same module"
        raise RecipeError(
            f"model() returned {what} twice, so that a trial would start from what another "
            "learned; build the module inside the function, e.g. model=lambda: nn.Linear(64, 10), "
            "or copy it there: copy.deepcopy(net)"
        )
    return first, second


def _built(problem: Problem, seed: int) -> nn.Module:
    try:
        model = build_model(problem, seed)
    except Exception as error:
        raise RecipeError(
            f"the model cannot be built: {said(error)}; "
            "expected a function without arguments that returns a torch.nn.Module"
        ) from error
    if not isinstance(model, nn.Module):
        raise RecipeError(
            f"model() returned {type(model).__name__}; expected a torch.nn.Module, "
            "e.g. model=lambda: nn.Linear(64, 10)"
        )
    for name, tensor in _tensors(model):
        _insist_usable(name, tensor)
    if not any(p.requires_grad for p in model.parameters()):
        raise RecipeError(
            "the model has no trainable parameters; expected at least one that requires a gradient"
        )
    return model


def _insist_usable(name: str, tensor: Tensor) -> None:
    if is_lazy(tensor):
        raise RecipeError(
            f"the model's {name!r} has no shape before the first forward pass; "
            "expected sizes at the start, e.g. nn.Linear(64, 10) for nn.LazyLinear(10)"
        )
    if tensor.dtype not in DTYPES:
        raise RecipeError(
            f"the model's {name!r} is {tensor.dtype}; expected torch.float32: type .float()"
        )


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers by name."""
    return [*model.named_parameters(), *model.named_buffers()]


def _address(tensor: Tensor) -> int:
    """Where a tensor's storage begins; 0 if it holds nothing."""
    return tensor.untyped_storage().data_ptr()
