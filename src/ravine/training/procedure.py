"""The optimization procedure of a recipe: rule, starting point, schedules, order of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ravine.batches import Feed, Order
from ravine.errors import UnknownOptionError, insist_on_count
from ravine.initializers import Start, start
from ravine.recipes import Problem
from ravine.rules import Rule
from ravine.schedules import Schedule
from ravine.training.records import Trial


@dataclass(frozen=True)
class Procedure:
    """How a recipe's parameters are found: everything of a training but data, cost and model.

    Attributes:
        name: what trials, stored runs and verdicts know it by.
        title: the name in print.
        rule: the update rule.
        start: how parameters are set before training; by default as the model's constructor did.
        schedules: hyperparameter -> schedule over gradient steps, counted from 0. That of "lr" is a
            factor on a trial's learning rate; those of others give values in place of the trial's.
        order: in which order examples are seen; None: as the recipe says.
        batch_size: examples in a minibatch; None: as the problem says. With another size a training
            is as long as the problem's (see `Problem.resized`).
    """

    name: str
    title: str
    rule: Rule
    start: Start = field(default_factory=lambda: start("as_built"))
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    order: Order | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            insist_on_count("batch_size", self.batch_size)
        unknown = [name for name in self.schedules if name not in self.rule.defaults]
        if unknown:
            raise UnknownOptionError.of(
                f"hyperparameter of {self.rule.title} to schedule",
                unknown[0],
                self.rule.defaults,
                "ravine optimizers --json",
            )

    @classmethod
    def of(cls, rule: Rule) -> Procedure:
        """The plain procedure of a rule: constant rates, everything else as usual."""
        return cls(rule.name, rule.title, rule)

    def trial(self, lr: float, seed: int) -> Trial:
        """A training by this procedure: the rule's own hyperparameters, and a learning rate."""
        return Trial(self.name, {**self.rule.defaults, "lr": lr}, seed)

    def scheduled(self, hyper: Mapping[str, float], step: int) -> dict[str, float]:
        """The values of the scheduled hyperparameters at a gradient step (from 0).

        Args:
            hyper: the trial's hyperparameters.
            step: the number of the update.
        """
        return {
            name: hyper["lr"] * schedule(step) if name == "lr" else schedule(step)
            for name, schedule in self.schedules.items()
        }


class Pace(NamedTuple):
    """What runs have in common that train side by side, step by step.

    Attributes:
        batch_size: examples in a minibatch.
        steps: gradient steps of a full training.
    """

    batch_size: int
    steps: int


def pace_of(problem: Problem, procedure: Procedure) -> Pace:
    """The pace of a procedure."""
    sized = problem.resized(procedure.batch_size or problem.batch_size)
    return Pace(sized.batch_size, sized.steps)


def feed_of(problem: Problem, runs: Sequence[tuple[int, Procedure]]) -> Feed:
    """The minibatches of several runs of one pace, each known by its seed and its procedure."""
    recipe = problem.recipe
    orders = [procedure.order or recipe.order for _, procedure in runs]
    seeds = [seed for seed, _ in runs]
    (pace,) = {pace_of(problem, procedure) for _, procedure in runs}
    return problem.train.feed(seeds, orders, pace.batch_size, recipe.last_batch)
