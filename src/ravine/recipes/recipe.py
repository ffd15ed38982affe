"""A recipe: data, cost, model and training length; everything except the optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from ravine.batches import Last, Order, per_epoch, shuffled
from ravine.errors import RecipeError, SettingError, insist_on_count
from ravine.penalties import Penalty
from ravine.recipes.data import load_split, load_training
from ravine.recipes.examples import Examples, Split
from ravine.recipes.origin import Origin

Measure = Callable[[Tensor, Tensor], Tensor]
"""(output, target) -> 0-D mean over the examples."""

SAMPLE = 4096
"""Examples that starts look at, and that batch-norm statistics are taken from."""

EXPECTED = {
    "cost": "(output, target) -> number, e.g. cost=torch.nn.functional.cross_entropy",
    "metric": "(output, target) -> number, e.g. metric=torch.nn.functional.cross_entropy",
    "penalty": "(parameters by name) -> number, e.g. penalty=ravine.penalties.l2(1e-4)",
}
"""Functions of a recipe."""

COUNTS = {"epochs": 1, "steps": 1, "batch_size": 1, "workers": 0, "patience": 1}
"""Whole numbers of a recipe, or None, and where they start."""


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, for how long.

    Attributes:
        name: the recipe's name in reports.
        model: builds the module; called under the run's seed, so its initialization is random.
        cost: the surrogate loss that is minimized, (output, target) -> 0-D mean over examples.
        train: a pair of tensors (inputs, targets), or a map-style `torch.utils.data.Dataset` of such
            pairs, held in memory; or, where `workers` says so, read while training. An
            `IterableDataset` is a stream: its examples are used as they come, each once.
        validation: a pair of tensors or a map-style Dataset, held in memory, for choosing.
        test: the same, looked at once, at the end; None if there is none.
        metric: what one really cares about, (output, target) -> 0-D mean; the cost if not given.
        maximize: whether a larger metric is better.
        batch_size: examples in a minibatch; None for the full batch.
        last_batch: "drop" or "keep" a last, smaller minibatch of an epoch.
        batches: the order in which examples are seen, one of `ravine.batches`. None: shuffled anew
            every epoch, or, for a stream, as they come.
        epochs, steps: training length, exactly one of them.
        workers: processes that read a Dataset's examples while training, for data larger than
            memory; 0 reads them in this process. None: held in memory.
        patience: stop early after so many evaluations (of 27 in a full training) without a better
            validation metric, and go back to the best weights. None: train to the end.
        penalty: of the trainable parameters, one of `ravine.penalties` or a function of yours, added to
            the cost that is minimized; the cost on validation data is without it.
        target: a metric value that counts as "there"; by default the comparison derives one.
        origin: what `find` found it by; None for one that was made otherwise, or changed since.
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
    last_batch: Last = "drop"
    batches: Order | None = None
    workers: int | None = None
    patience: int | None = None
    penalty: Penalty | None = None
    origin: Origin | None = field(init=False, default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._insist_on_name()
        self._insist_on_functions()
        self._insist_on_numbers()
        self._insist_on_batches()

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
        for what in ("cost", "metric", "penalty"):
            value = getattr(self, what)
            if what != "cost" and value is None:
                continue
            if not callable(value) or isinstance(value, type):
                got = (
                    f"the class {value.__name__}"
                    if isinstance(value, type)
                    else type(value).__name__
                )
                raise RecipeError(
                    f"recipe {self.name!r} has {what}={got}; expected a function {EXPECTED[what]}"
                )

    def _insist_on_numbers(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise SettingError(
                f"recipe {self.name!r} has epochs={self.epochs}, steps={self.steps}; "
                "give exactly one, e.g. epochs=30"
            )
        for what, least in COUNTS.items():
            value = getattr(self, what)
            if value is not None and not _is_count(value, least):
                raise SettingError(
                    f"recipe {self.name!r} has {what}={value!r}; "
                    f"expected a whole number from {least} on"
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

    def _insist_on_batches(self) -> None:
        if self.last_batch not in ("drop", "keep"):
            raise SettingError(
                f"recipe {self.name!r} has last_batch={self.last_batch!r}; "
                "expected 'drop' or 'keep'"
            )
        if self.batches is not None and not isinstance(self.batches, Order):
            raise SettingError(
                f"recipe {self.name!r} has batches={self.batches!r}; expected an order of examples, "
                "e.g. batches=ravine.batches.shuffled_once()"
            )

    @property
    def order(self) -> Order:
        """The order in which examples are seen."""
        return self.batches or shuffled()

    @property
    def measure(self) -> Measure:
        """The metric, or the cost where no metric was given."""
        return self.metric or self.cost

    def objective(self, output: Tensor, target: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """What is minimized: the cost of a minibatch, and the penalty on the trainable parameters."""
        cost = self.cost(output, target)
        return cost if self.penalty is None else cost + self.penalty(parameters)

    @property
    def functions(self) -> list[Callable[..., Tensor]]:
        """All that a training calls besides the model."""
        return [f for f in (self.cost, self.metric, self.penalty) if f is not None]

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
        train: the training examples.
        validation, test: the data as tensors.
        batch_size: examples in a minibatch.
        steps: gradient steps of a full training.
        in_epochs: whether that length was given in epochs.
    """

    recipe: Recipe
    train: Examples
    validation: Split
    test: Split | None
    batch_size: int
    steps: int
    in_epochs: bool = False

    @property
    def at_hand(self) -> Split:
        """All training examples; of those that are read while training, the first minibatch."""
        return self.train if isinstance(self.train, Split) else self.train.first(self.batch_size)

    @property
    def sample(self) -> Split:
        """Up to `SAMPLE` of the training examples at hand, evenly spaced, as data are often sorted."""
        known = self.at_hand
        every = -(-len(known) // SAMPLE)
        return Split(known.inputs[::every], known.targets[::every])

    def resized(self, batch_size: int) -> Problem:
        """The same with minibatches of another size: as many epochs where its length was given in epochs,
        else as many gradient steps.

        Args:
            batch_size: examples in a minibatch; the full batch where there are no more.

        Raises:
            SettingError: not a whole number from 1 on.
        """
        insist_on_count("batch_size", batch_size)
        examples, last = self.train.count, self.recipe.last_batch
        if examples is None:
            return replace(self, batch_size=batch_size)
        size = min(batch_size, examples)
        if not self.in_epochs:
            return replace(self, batch_size=size)
        faster = per_epoch(examples, size, last) / per_epoch(examples, self.batch_size, last)
        return replace(self, batch_size=size, steps=max(1, round(self.steps * faster)))


def load(
    recipe: Recipe,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
) -> Problem:
    """Load a recipe's data and settle its training length.

    Args:
        recipe: the recipe.
        steps, epochs: override the recipe's own length; at most one of them.
        batch_size: overrides the recipe's own.

    Raises:
        RecipeError: the data cannot be used.
        SettingError: the length is not a positive whole number, or cannot be told.
    """
    for name, value in (("steps", steps), ("epochs", epochs)):
        if value is not None and not _is_count(value, 1):
            raise SettingError(f"--{name} {value!r}; expected a whole number from 1 on")
    if steps is not None and epochs is not None:
        raise SettingError("--steps and --epochs both given; expected one of them")
    train = load_training(recipe.train, recipe.workers)
    if steps is None and epochs is None:
        steps, epochs = recipe.steps, recipe.epochs
    batch_size = _batch_size(recipe, batch_size, train.count)
    problem = Problem(
        recipe=recipe,
        train=train,
        validation=load_split(recipe.validation, "validation"),
        test=None if recipe.test is None else load_split(recipe.test, "test"),
        batch_size=batch_size,
        steps=steps or (epochs or 0) * _steps_per_epoch(recipe, train.count, batch_size),
        in_epochs=steps is None,
    )
    if recipe.batches is not None:
        insist_on_order(problem, recipe.batches)
    return problem


def insist_on_order(problem: Problem, order: Order) -> None:
    """Raise SettingError unless the training examples can be seen in this order, to the last step."""
    examples = problem.train.count
    if examples is None:
        raise SettingError(
            f"the order of examples {order.name!r} came for a stream, which has its own; "
            "expected none, or a Dataset with items by index"
        )
    order.epoch(0, 0, examples)
    per = per_epoch(examples, problem.batch_size, problem.recipe.last_batch)
    if order.epochs is not None and order.epochs * per < problem.steps:
        raise SettingError(
            f"the order of examples {order.name!r} ends after {order.epochs * per} gradient steps, "
            f"and the training has {problem.steps}; expected more data or fewer steps: --steps"
        )


def _batch_size(recipe: Recipe, asked: int | None, examples: int | None) -> int:
    if asked is not None:
        insist_on_count("batch_size", asked)
    size = asked or recipe.batch_size
    if examples is not None:
        return min(size or examples, examples)
    if size is None:
        raise SettingError(
            f"recipe {recipe.name!r} has a stream of examples and batch_size=None; a stream has no "
            "full batch: expected a number, e.g. batch_size=32"
        )
    return size


def _steps_per_epoch(recipe: Recipe, examples: int | None, batch_size: int) -> int:
    if examples is None:
        raise SettingError(
            f"recipe {recipe.name!r} has a stream of examples, which has no epochs; "
            "give the training length in steps, e.g. steps=1000 or --steps 1000"
        )
    return per_epoch(examples, batch_size, recipe.last_batch)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
