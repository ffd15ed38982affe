"""What every training lane offers, and what passes between a lane and its caller."""

from __future__ import annotations

import io
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from ravine import hidden
from ravine.recipes import Measure, Problem, Split, build_model
from ravine.recipes.examples import EXAMPLES_AT_ONCE
from ravine.training.flat import hold_constants
from ravine.training.noise import without_keys
from ravine.training.procedure import Pace, Procedure, pace_of
from ravine.training.records import Curve, Point, Run, Trial

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Member:
    """A run under way: what it has shown, and where it stands.

    Attributes:
        run: the trial and its curve so far.
        snapshot: weights, buffers and optimizer state, as the lane that trained it needs them, and
            the best weights and buffers so far where the recipe may stop early; None before the
            first step.
    """

    run: Run
    snapshot: dict[str, Any] | None = None

    @classmethod
    def new(cls, trial: Trial) -> Member:
        """A member that has not trained yet."""
        return cls(Run(trial))

    @property
    def step(self) -> int:
        """Where it stands, in the problem's gradient steps (its own may be others: `training.pace`)."""
        return self.run.curve[-1].step if self.run.curve else 0

    def start_or_resume(self) -> dict[str, Any] | None:
        """The snapshot to continue from; None for a member that has not trained yet.

        Raises:
            RuntimeError: it has trained, but its snapshot was dropped.
        """
        if self.snapshot is None and self.step > 0:
            raise RuntimeError(f"{self.run.trial} stands at step {self.step} without a snapshot")
        return self.snapshot

    def after(self, points: Sequence[Point], snapshot: dict[str, Any]) -> Member:
        """This member some evaluations later."""
        return Member(replace(self.run, curve=Curve.of((*self.run.curve, *points))), snapshot)


Tick = Callable[[int], None]
"""Called with the number of the problem's gradient steps (summed over members) since the last call."""


def unheard(steps: int) -> None:
    """A tick that nobody hears."""


class Lane(ABC):
    """A way to train members of one problem.

    Attributes:
        name: "serial" or "population".
        title: the name in print, with what matters about how it runs.
        compiled: whether its steps are compiled.
        capacity: the most members that it trains together.
    """

    name: str
    title: str
    compiled: bool = False
    capacity: int = 1

    def __init__(self, problem: Problem, procedures: Mapping[str, Procedure]):
        self.problem = problem
        self.procedures = procedures

    def procedure(self, trial: Trial) -> Procedure:
        """The procedure that a trial names."""
        return self.procedures[trial.procedure]

    @abstractmethod
    def chunks(self, members: Sequence[Member]) -> list[Sequence[Member]]:
        """Cut a list of members into those that train together."""

    @abstractmethod
    def train(
        self, members: Sequence[Member], until: int, tick: Tick, pause: float = math.inf
    ) -> list[Member]:
        """Train a chunk up to gradient step `until`, evaluating on the way.

        A member that diverges is trained on and recorded as it is; one that has stopped early (see
        `Recipe.patience`) is recorded as it was at its best. All members of a chunk stand at the
        same step.

        Args:
            members: a chunk.
            until: an evaluation step of the problem.
            tick: hears of progress.
            pause: seconds after which to return at the next evaluation, to be called again.
        """

    def pace(self, trial: Trial) -> Pace:
        """What trials have to have in common to train together."""
        return pace_of(self.problem, self.procedure(trial))

    def seconds_per_step(self, trials: Sequence[Trial], steps: int) -> float:
        """Seconds of one of the problem's gradient steps of one member, over the first `steps` steps of
        new runs, after as many to warm up."""
        total = 0.0
        for pace, alike in groupby(sorted(trials, key=self.pace), self.pace):
            several = list(alike)
            self._timed(several, steps)  # to warm up
            total += self._timed(several, steps) * pace.steps / self.problem.steps
        return total / (steps * len(trials))

    @abstractmethod
    def _timed(self, trials: Sequence[Trial], steps: int) -> float:
        """Seconds of the first gradient steps of new runs, all of one pace."""

    @abstractmethod
    def test(self, members: Sequence[Member]) -> list[float]:
        """The metric on the test data, one number a member."""

    @abstractmethod
    def learned(self, member: Member) -> Tensors:
        """What a member's module holds: the weights to evaluate, and buffers, by name."""

    def module(self, member: Member) -> nn.Module:
        """The recipe's module as a member has trained it, in evaluation mode."""
        return fill(build_model(self.problem, member.run.trial.seed), *self.kept(member))

    def kept(self, member: Member) -> tuple[Tensors, dict[str, Any]]:
        """What `fill` makes that module of: its tensors, and the attributes that training changed."""
        return without_keys(self.learned(member)), self.attributes(member)

    def attributes(self, member: Member) -> dict[str, Any]:
        """The attributes of the module that training has changed, by name (see `ravine.hidden`)."""
        return {}


def fill(model: nn.Module, tensors: Tensors, attributes: dict[str, Any]) -> nn.Module:
    """Give a new module what a member of it has learned; return it, in evaluation mode."""
    held = dict(tensors)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(held.pop(name))
        hold_constants(model, held)
    hidden.put(model, hidden.attributes(model), attributes)
    return model.eval()


def mean_over(
    split: Split, outputs: Callable[[Tensor], Tensor], measures: Sequence[Measure], members: bool
) -> list[Tensor]:
    """Each measure averaged over all examples of a split, a slice of examples at a time.

    Args:
        split: the data.
        outputs: inputs [examples, ...] -> the model's outputs, members first if there are several.
        measures: (output, target) -> 0-D mean.
        members: whether outputs have a leading member axis, which the results then keep.
    """
    if members:
        measures = [torch.vmap(measure, in_dims=(0, None)) for measure in measures]
    totals = [torch.zeros(()) for _ in measures]
    with torch.no_grad():
        for start in range(0, len(split), EXAMPLES_AT_ONCE):
            inputs = split.inputs[start : start + EXAMPLES_AT_ONCE]
            targets = split.targets[start : start + EXAMPLES_AT_ONCE]
            output = outputs(inputs)
            for i, measure in enumerate(measures):
                value = measure(output, targets)
                totals[i] = totals[i] + value.to(torch.float64) * len(inputs)
    return [total / len(split) for total in totals]


def pack(snapshot: dict[str, Any]) -> bytes:
    """A snapshot as bytes."""
    buffer = io.BytesIO()
    torch.save(snapshot, buffer)
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, Any]:
    """A snapshot from `pack`'s bytes."""
    snapshot: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
    return snapshot
