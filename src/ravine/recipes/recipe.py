"""A recipe: data, cost, model and training length; everything except the optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ravine.batches import per_epoch
from ravine.errors import RecipeError, SettingError
from ravine.recipes.data import Split, load_split

Measure = Callable[[Tensor, Tensor], Tensor]
"""(output, target) -> 0-D mean over the examples."""


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
        self._insist_on_name()
        self._insist_on_functions()
        self._insist_on_numbers()

    def _insist_on_name(self) -> None:
        name = self.name
        if not isinstance(name, str) or not name.strip() or name in (".", ".."):
            raise RecipeError(f"a recipe has name={name!r}; expected a name, e.g. 'two-moons'")
        if any(character in name for character in "/\\\0"):
            raise RecipeError(
                f"a recipe has name={name!r}; expected one without / and \\, "
                "since it names the run folder"
            )

    def _insist_on_functions(self) -> None:
        if not callable(self.model) or isinstance(self.model, nn.Module):
            raise RecipeError(
                f"recipe {self.name!r} has a model of type {type(self.model).__name__}; expected a "
                "function that builds a new module, e.g. model=lambda: nn.Linear(64, 10)"
            )
        for field in ("cost", "metric"):
            value = getattr(self, field)
            if field == "metric" and value is None:
                continue
            if not callable(value) or isinstance(value, type):
                got = (
                    f"the class {value.__name__}"
                    if isinstance(value, type)
                    else type(value).__name__
                )
                raise RecipeError(
                    f"recipe {self.name!r} has {field}={got}; expected a function "
                    f"(output, target) -> number, e.g. {field}=torch.nn.functional.cross_entropy"
                )

    def _insist_on_numbers(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise SettingError(
                f"recipe {self.name!r} has epochs={self.epochs}, steps={self.steps}; "
                "give exactly one, e.g. epochs=30"
            )
        for field in ("epochs", "steps", "batch_size"):
            value = getattr(self, field)
            if value is not None and not _is_count(value):
                raise SettingError(
                    f"recipe {self.name!r} has {field}={value!r}; expected a whole number from 1 on"
                )
        if not isinstance(self.maximize, bool):
            raise SettingError(
                f"recipe {self.name!r} has maximize={self.maximize!r}; expected True or False"
            )
        number = isinstance(self.target, int | float) and not isinstance(self.target, bool)
        if self.target is not None and not (number and math.isfinite(self.target)):
            raise SettingError(
                f"recipe {self.name!r} has target={self.target!r}; "
                "expected a finite number, e.g. target=0.05, or None"
            )

    @property
    def measure(self) -> Measure:
        """The metric, or the cost where no metric was given."""
        return self.metric or self.cost

    @property
    def metric_name(self) -> str:
        """The metric's name in reports."""
        if self.metric is None:
            return "cost"
        name = getattr(self.metric, "__name__", "<lambda>")
        return "metric" if name == "<lambda>" else str(name)


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
        if value is not None and not _is_count(value):
            raise SettingError(f"--{name} {value!r}; expected a whole number from 1 on")
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


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
