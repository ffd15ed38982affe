"""What it takes to make an experiment again: what trains, and what its figures claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ravine.recipes import Problem, Recipe, load
from ravine.recipes.images import Folder
from ravine.reproduce.claims import Claim
from ravine.rules import Rule
from ravine.schedules import Schedule
from ravine.training.procedure import Procedure

LOOKED_AT = 2000
"""Training examples that a training cost is evaluated on."""

Quantity = Literal["cost", "validation_metric"]
"""What of a run is drawn and judged: the mean cost of its minibatches since the evaluation before, or
the metric on the data that it is evaluated on."""


@dataclass(frozen=True)
class Tuned:
    """Optimizers, each at its own best learning rate.

    Attributes:
        recipe: (folder of data sets, scale) -> what they train.
        optimizers: names. schedule: of the learning rate, for all of them.
    """

    recipe: Callable[[Folder, float], Recipe]
    optimizers: tuple[str, ...]
    schedule: str = "constant"


@dataclass(frozen=True)
class Setting:
    """A training as it is given, from the rule to its rate.

    Attributes:
        name, title: as files know it, and in print.
        rule: the update rule; settings of one rule share the object, and train faster together.
        lr: the learning rate.
        schedules: (problem) -> schedules by hyperparameter; that of "lr" is a factor on the rate.
    """

    name: str
    title: str
    rule: Rule
    lr: float
    schedules: Callable[[Problem], Mapping[str, Schedule]] = lambda problem: {}

    def procedure(self, problem: Problem) -> Procedure:
        """How it trains this problem."""
        return Procedure(self.name, self.title, self.rule, schedules=self.schedules(problem))


@dataclass(frozen=True)
class Group:
    """Settings that train the same recipe, and may train side by side.

    Attributes:
        name: of its folder. recipe: what trains. settings: how.
    """

    name: str
    recipe: Recipe
    settings: Sequence[Setting]


@dataclass(frozen=True)
class Given:
    """Settings as they are given: nothing is searched.

    Attributes:
        groups: (folder of data sets, scale) -> settings by recipe.
        seeds: how many fresh seeds each of them trains on.
    """

    groups: Callable[[Folder, float], Sequence[Group]]
    seeds: int


@dataclass(frozen=True)
class Panel:
    """One figure of an experiment.

    Attributes:
        name: of its folder.
        title: what it shows, in a few words.
        source: where the original stands.
        expected: what the original shows, in words.
        training: what trains for it.
        claims: the same, so that it can be judged.
        quantity: what is drawn and judged; lower is better. y: its name in print.
        log: whether the original has a logarithmic axis; judged in logarithms, too.
        x: what the original has on its other axis.
    """

    name: str
    title: str
    source: str
    expected: str
    training: Tuned | Given
    claims: tuple[Claim, ...]
    quantity: Quantity = "validation_metric"
    y: str = "training cost"
    log: bool = False
    x: Literal["epochs", "gradient steps"] = "epochs"


@dataclass(frozen=True)
class Study:
    """An experiment.

    Attributes:
        name: what to type.
        source: the paper, or notes.
        panels: its figures.
        scale: what a laptop's CPU trains in some minutes.
        scaled: (scale) -> what a scale below 1 makes smaller, in a sentence.
        differs: how ravine's experiment differs from the original at any scale, in sentences.
    """

    name: str
    source: str
    panels: tuple[Panel, ...]
    scale: float
    scaled: Callable[[float], str]
    differs: tuple[str, ...] = field(default=())

    def differences(self, scale: float) -> list[str]:
        """How it differs from the original, in sentences."""
        return [*([self.scaled(scale)] if scale < 1 else []), *self.differs]


def share_of(recipe: Recipe, scale: float) -> Recipe:
    """A recipe with a share of its training examples, evaluated by the training cost, as most figures
    are: on the first `LOOKED_AT` of them.

    Args:
        recipe: with data in memory.
        scale: the share; a minibatch of examples is left at least.
    """
    train = load(recipe).at_hand
    count = max(recipe.batch_size or 1, round(scale * len(train)))
    inputs, targets = train.inputs[:count], train.targets[:count]
    return replace(
        recipe,
        metric=None,
        train=(inputs, targets),
        validation=(inputs[:LOOKED_AT], targets[:LOOKED_AT]),
        test=None,
    )
