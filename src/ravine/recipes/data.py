"""The data of a recipe, from what a user gave to examples that can be trained on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, default_collate

from ravine.errors import RecipeError, said
from ravine.recipes.examples import Examples, Lazy, Split, Stream
from ravine.recipes.wording import DTYPES

EXPECTED = "expected (inputs, targets) tensors or a map-style torch Dataset of such pairs"


def load_training(data: Any, workers: int | None) -> Examples:
    """The training examples of a recipe: brought into memory, or to be read while training.

    Args:
        data: what a recipe says.
        workers: processes that read; None brings a map-style Dataset into memory.

    Raises:
        RecipeError: as for `load_split`.
    """
    if isinstance(data, IterableDataset):
        return Stream(data, workers or 0)
    if workers is None:
        return load_split(data, "training")
    if not isinstance(data, Dataset):
        raise RecipeError(
            f"training data are {type(data).__name__} with workers={workers}; "
            "expected a torch Dataset to read from, or workers=None for data in memory"
        )
    return Lazy(data, workers)


def load_split(data: Any, which: str) -> Split:
    """Bring one split of a recipe into memory.

    Raises:
        RecipeError: it is neither a pair of tensors nor a map-style Dataset of pairs, it is empty,
            its lengths differ, or it holds NaN or Inf.
    """
    pair = _collated(data, which) if isinstance(data, Dataset) else data
    if not isinstance(pair, tuple | list):
        hint = "; give the loader's .dataset" if hasattr(data, "dataset") else ""
        raise RecipeError(f"{which} data are {type(data).__name__}; {EXPECTED}{hint}")
    if len(pair) != 2:
        raise RecipeError(f"{which} data are {type(data).__name__} of {len(pair)}; {EXPECTED}")
    inputs = _tensor(pair[0], f"{which} inputs")
    targets = _tensor(pair[1], f"{which} targets")
    if len(inputs) != len(targets):
        raise RecipeError(
            f"{which} data have {len(inputs)} inputs and {len(targets)} targets; "
            "expected as many of one as of the other"
        )
    if len(inputs) == 0:
        raise RecipeError(f"{which} data are empty; expected at least one example")
    return Split(inputs, targets)


def _collated(dataset: Dataset[Any], which: str) -> Any:
    """A Dataset's inputs and its targets, stacked."""
    kind = type(dataset).__name__
    try:
        items = [dataset[i] for i in range(len(dataset))]  # type: ignore[arg-type]
    except Exception as error:
        raise RecipeError(
            f"{which} data: {kind} cannot be read: {said(error)}; {EXPECTED}"
        ) from error
    if not items:
        raise RecipeError(f"{which} data are empty; expected at least one example")
    if not isinstance(items[0], tuple | list) or len(items[0]) != 2:
        raise RecipeError(
            f"{which} data: {kind} has items of type {type(items[0]).__name__}; "
            "expected (input, target) pairs"
        )
    try:
        return default_collate(items)
    except Exception as error:
        raise RecipeError(
            f"{which} data: the items of {kind} cannot be stacked: {said(error)}; "
            "expected pairs of tensors or numbers, all of one shape"
        ) from error


def _tensor(value: Any, what: str) -> Tensor:
    """Inputs or targets as a tensor [examples, ...] without gradient."""
    try:
        tensor = torch.as_tensor(value).detach()
    except Exception as error:
        raise RecipeError(
            f"{what} are {type(value).__name__}; expected one tensor [examples, ...] ({said(error)})"
        ) from error
    if tensor.is_nested or tensor.layout is not torch.strided:
        raise RecipeError(
            f"{what} are a sparse or nested tensor; expected a dense one: .to_dense()"
        )
    if tensor.dtype not in DTYPES:
        raise RecipeError(f"{what} are {tensor.dtype}; expected torch.float32: type .float()")
    if tensor.ndim == 0:
        raise RecipeError(f"{what} are a single number (0-D); expected a tensor [examples, ...]")
    broken = int((~tensor.isfinite()).sum())
    if broken:
        raise RecipeError(
            f"{what} hold {broken} NaN or infinite values of {tensor.numel()}; "
            "replace or remove them"
        )
    return tensor
