"""The population lane: many members of one problem in one process, whatever their optimizers."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import groupby
from threading import Event

import torch
from torch import Tensor

from ravine.engines.graphs.compiling import NOTHING_ELSE, OUTSIDE_PYTHON
from ravine.recipes import Problem, Split
from ravine.training.flat import Layout
from ravine.training.lane import Lane, Member, Tensors, Tick
from ravine.training.members import Population, Shared
from ravine.training.pace import own_step, segments
from ravine.training.procedure import Pace, Procedure
from ravine.training.records import Trial
from ravine.training.room import bytes_of_member, largest, out_of_memory
from ravine.training.threads import threads

NEAR = 2**23
"""Bytes of members that a thread steps together, about: what its core holds in its caches. 64 members
of 118,000 parameters, 4.7 MiB each, take 494 us a step and member together and 440 us by fours."""

FEWEST, MOST = 4, 32
"""Members that are stepped together. A step costs 50 us in Python, whatever the number of members."""


class PopulationLane(Lane):
    """Train chunks of members together.

    A chunk is trained in groups. Smaller groups are filled up to one width with copies: vmap bakes
    the number of members into a compiled graph, and batched kernels of different sizes round
    differently. So a member's curve is the same to the last bit in any company of one lane.

    Compiled, each group is stepped in a thread of its own: that shares cores better than threads
    within each operation, which wait for each other after every one, and its members stay in the
    caches of one core. Not compiled, or with data that are read while training, a chunk is one group.

    Args:
        problem: what to train.
        procedures: name -> procedure.
        capacity: members in a chunk.
        compiled: compile gradients and updates.

    Attributes:
        workers: groups that are stepped at once, as many as torch has threads at first.
    """

    name = "population"

    def __init__(
        self,
        problem: Problem,
        procedures: Mapping[str, Procedure],
        capacity: int,
        compiled: bool = True,
    ):
        super().__init__(problem, procedures)
        self.capacity = capacity
        self.compiled = compiled
        self.title = f"population of up to {capacity}, {'' if compiled else 'not '}compiled"
        self._grouped = compiled and isinstance(problem.train, Split)
        self.workers = torch.get_num_threads() if self._grouped else 1
        self._most = capacity
        if self._grouped:
            each = bytes_of_member(largest(problem, procedures.values()))
            self._most = max(FEWEST, min(MOST, NEAR // each))
        self._shared = self._nothing_made()

    def _nothing_made(self) -> Shared:
        options = OUTSIDE_PYTHON if self.workers > 1 else NOTHING_ELSE
        return Shared(self.problem, self.procedures, self.compiled, options)

    @property
    def layout(self) -> Layout:
        """Where parameters lie in the weights of a snapshot."""
        return self._shared.layout

    @property
    def width(self) -> int:
        """Members in a group: they share the chunk evenly among workers, or among rounds of them."""
        rounds = -(-self.capacity // (self._most * self.workers))
        return -(-self.capacity // (rounds * self.workers))

    def chunks(self, members: Sequence[Member]) -> list[Sequence[Member]]:
        """Members of one pace, by rule, `capacity` at a time."""
        found: list[Sequence[Member]] = []
        for _, alike in groupby(sorted(members, key=self._place), lambda m: self.pace(m.run.trial)):
            ordered = list(alike)
            found += [ordered[i : i + self.capacity] for i in range(0, len(ordered), self.capacity)]
        return found

    def _place(self, member: Member) -> tuple[Pace, str, int, str]:
        trial = member.run.trial
        procedure = self.procedure(trial)
        number = self._shared.rule_number(procedure)
        return self.pace(trial), procedure.rule.name, number, procedure.name

    def train(
        self, members: Sequence[Member], until: int, tick: Tick, pause: float = math.inf
    ) -> list[Member]:
        """Train members together; see `Lane.train`. Where memory runs out, half as many from then on."""
        if len(members) <= self.capacity:
            try:
                return self._together(members, until, tick, pause)
            except Exception as error:
                if self.capacity < 2 or not out_of_memory(error):
                    raise
            # outside of the handler: the error's traceback would keep the tensors
            self.capacity = -(-self.capacity // 2)
            self._shared = self._nothing_made()
        first = self.capacity
        done = self.train(members[:first], until, tick, pause)
        if rest := members[first:]:
            # to where the first pause was: members of a chunk stand at the same step
            done += self.train(rest, done[0].step, tick)
        return done

    def _together(
        self, members: Sequence[Member], until: int, tick: Tick, pause: float
    ) -> list[Member]:
        with self._populated(members) as groups:
            if members[0].snapshot is None:
                for group in groups:
                    group.begin()
            at, procedure = members[0].step, self.procedure(members[0].run.trial)
            for stop in segments(self.problem.steps, at, until, pause):
                own = own_step(self.problem, procedure, stop)
                for group, costs in zip(groups, self._run(groups, own), strict=True):
                    group.judge(costs, stop)
                tick((stop - at) * len(members))
                at = stop
            return [member for group in groups for member in group.done()]

    def _run(self, groups: Sequence[Population], until: int) -> list[Tensor | None]:
        """Step groups to `until`, each in a thread of its own; what `Population.run` returns, None
        of groups that have ended."""
        halt = Event()

        def run(group: Population) -> Tensor | None:
            return None if group.ended else group.run(until, halt.is_set)

        if self.workers == 1:
            return [run(group) for group in groups]
        with threads(1), ThreadPoolExecutor(self.workers) as pool:
            try:
                return list(pool.map(run, groups))
            except BaseException:
                halt.set()
                raise

    def test(self, members: Sequence[Member]) -> list[float]:
        """The metric on the test data; see `Lane.test`."""
        test = self.problem.test
        assert test is not None
        with self._populated(members) as groups:
            return [value for group in groups for value in group.test(test)]

    def learned(self, member: Member) -> Tensors:
        """What a member's module holds; see `Lane.learned`."""
        return Population(self._shared, [member]).learned(0)

    def _timed(self, trials: Sequence[Trial], steps: int) -> float:
        with self._populated([Member.new(trial) for trial in trials]) as groups:
            start = time.perf_counter()
            self._run(groups, steps)
            return time.perf_counter() - start

    @contextmanager
    def _populated(self, members: Sequence[Member]) -> Iterator[list[Population]]:
        """Members in groups of one width, the last filled up with copies."""
        width = self.width
        parts = [members[i : i + width] for i in range(0, len(members), width)]
        with ExitStack() as open_groups:
            yield [
                open_groups.enter_context(closing(Population(self._shared, part, width)))
                for part in parts
            ]
