"""A recipe: data, cost, model and training length; everything except the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from ravine.batches import per_epoch
from ravine.errors import RecipeError, SettingError

Measure = Callable[[Tensor, Tensor], Tensor]
"""(output, target) -> 0-D mean over the examples."""


@dataclass(frozen=True)
class Split:
    """Examples held in memory: inputs [examples, ...] and targets [examples, ...]."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, for how long.

    Attributes:
        name: the recipe's name in reports.
        model: builds the module; called under the run's seed, so its initialization is random.
        cost: the surrogate loss that is minimized, (output, target) -> 0-D mean over examples.
        train: a pair of tensors (inputs, targets), or a map-style `torch.utils.data.Dataset` of such
            pairs. Held in memory.
        validation: the same, for choosing.
        test: the same, looked at once, at the end; None if there is none.
        metric: what one really cares about, (output, target) -> 0-D mean; the cost if not given.
        maximize: whether a larger metric is better.
        batch_size: examples in a minibatch; None for the full batch.
        epochs, steps: training length, exactly one of them.
        target: a metric value that counts as "there"; by default the comparison derives one.
    """

    name: str
    model: Callable[[], nn.Module]
    cost: Measure
    train: Any
    validation: Any
    test: Any = None
    metric: Measure | None = None
    maximize: bool = False
    batch_size: int | None = 32
    epochs: int | None = None
    steps: int | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise SettingError(
                f"recipe {self.name!r} has epochs={self.epochs}, steps={self.steps}; "
                "give exactly one, e.g. epochs=30"
            )
        for field in ("epochs", "steps", "batch_size"):
            value = getattr(self, field)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise SettingError(
                    f"recipe {self.name!r} has {field}={value!r}; expected a whole number from 1 on"
                )

    @property
    def measure(self) -> Measure:
        """The metric, or the cost where no metric was given."""
        return self.metric or self.cost

    @property
    def metric_name(self) -> str:
        """The metric's name in reports."""
        return "cost" if self.metric is None else getattr(self.metric, "__name__", "metric")


@dataclass(frozen=True)
class Problem:
    """A recipe whose data are loaded and checked: what a training lane works on.

    Attributes:
        recipe: where it comes from.
        train, validation, test: the data as tensors.
        batch_size: examples in a minibatch.
        steps: gradient steps of a full training.
    """

    recipe: Recipe
    train: Split
    validation: Split
    test: Split | None
    batch_size: int
    steps: int


def load_split(data: Any, which: str) -> Split:
    """Bring one split of a recipe into memory.

    Raises:
        RecipeError: it is neither a pair of tensors nor a map-style Dataset of pairs, it is empty,
            its lengths differ, or it holds NaN or Inf.
    """
    try:
        if isinstance(data, Dataset):
            data = default_collate([data[i] for i in range(len(data))])  # type: ignore[arg-type]
        inputs, targets = map(torch.as_tensor, data)
    except (TypeError, ValueError, IndexError) as error:
        raise RecipeError(
            f"{which} data are {type(data).__name__}; expected (inputs, targets) tensors or a "
            f"map-style torch Dataset of such pairs ({error})"
        ) from error
    if len(inputs) != len(targets):
        raise RecipeError(f"{which} data have {len(inputs)} inputs and {len(targets)} targets")
    if len(inputs) == 0:
        raise RecipeError(f"{which} data are empty; expected at least one example")
    for kind, tensor in (("inputs", inputs), ("targets", targets)):
        broken = 0 if not tensor.is_floating_point() else int((~tensor.isfinite()).sum())
        if broken:
            raise RecipeError(
                f"{which} {kind} hold {broken} NaN or infinite values of {tensor.numel()}; "
                "replace or remove them"
            )
    return Split(inputs, targets)


def load(recipe: Recipe, steps: int | None = None, epochs: int | None = None) -> Problem:
    """Load a recipe's data and settle its training length.

    Args:
        recipe: the recipe.
        steps, epochs: override the recipe's own length; at most one of them.

    Raises:
        RecipeError: the data cannot be used.
        SettingError: the length is not a positive whole number.
    """
    for name, value in (("steps", steps), ("epochs", epochs)):
        if value is not None and value < 1:
            raise SettingError(f"--{name} {value}; expected a whole number from 1 on")
    if steps is not None and epochs is not None:
        raise SettingError("--steps and --epochs both given; expected one of them")
    train = load_split(recipe.train, "training")
    batch_size = min(recipe.batch_size or len(train), len(train))
    if steps is None and epochs is None:
        steps, epochs = recipe.steps, recipe.epochs
    return Problem(
        recipe=recipe,
        train=train,
        validation=load_split(recipe.validation, "validation"),
        test=None if recipe.test is None else load_split(recipe.test, "test"),
        batch_size=batch_size,
        steps=steps or (epochs or 0) * per_epoch(len(train), batch_size),
    )
