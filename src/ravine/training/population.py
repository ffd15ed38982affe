"""The population lane: many members of one problem in one process, whatever their optimizers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from ravine.engines.graphs.compiling import Compiled, trace
from ravine.engines.population import Kernels, PopulationEngine
from ravine.recipes import Problem, Split, build_model
from ravine.training.ending import ended, judged, level
from ravine.training.flat import Layout, constants
from ravine.training.gradients import Gradients, member_gradients
from ravine.training.lane import Lane, Member, Tensors, Tick, mean_over, segments
from ravine.training.noise import keyed, keys
from ravine.training.procedure import Procedure, feed_of
from ravine.training.records import Point, Trial
from ravine.training.recurrent import plain_recurrent
from ravine.training.refreshing import needs_refreshing, refresh_from
from ravine.training.room import out_of_memory
from ravine.training.stacked import Kept, runs_of_equal, stacked
from ravine.training.start import starting_model
from ravine.training.unfused import unfused_attention


class PopulationLane(Lane):
    """Train chunks of members together.

    Smaller chunks are filled up to `capacity` with copies: vmap bakes the number of members into a
    compiled graph, and batched kernels of different sizes round differently. So a member's curve is
    the same to the last bit in any company of one lane.

    Args:
        problem: what to train.
        procedures: name -> procedure.
        capacity: members in a chunk.
        compiled: compile gradients and updates.
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
        self.model = plain_recurrent(keyed(build_model(problem, seed=0)))
        self.layout = Layout.of(self.model)
        self._gradients: dict[torch.Size, Gradients] = {}
        self.kernels: Kernels | None = {} if compiled else None

    def chunks(self, members: Sequence[Member]) -> list[Sequence[Member]]:
        """Members by rule, `capacity` at a time."""
        ordered = sorted(members, key=self._place)
        return [ordered[i : i + self.capacity] for i in range(0, len(ordered), self.capacity)]

    def _place(self, member: Member) -> tuple[str, int, str]:
        procedure = self.procedure(member.run.trial)
        return procedure.rule.name, self.rule_number(procedure), procedure.name

    def rule_number(self, procedure: Procedure) -> int:
        """Which of the lane's rules a procedure has. Rules are told apart by identity: a chain is
        named like the rule in it."""
        rules = [other.rule for other in self.procedures.values()]
        return next(i for i, rule in enumerate(rules) if rule is procedure.rule)

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
            self._gradients.clear()
        parts = [members[i : i + self.capacity] for i in range(0, len(members), self.capacity)]
        return [done for part in parts for done in self.train(part, until, tick, pause)]

    def _together(
        self, members: Sequence[Member], until: int, tick: Tick, pause: float
    ) -> list[Member]:
        with closing(self._populate(members)) as population:
            curves = self._curves(population, members, until, tick, pause)
            return [
                member.after(curve[len(member.run.curve) :], population.snapshot(i))
                for i, (member, curve) in enumerate(zip(members, curves, strict=True))
            ]

    def _curves(
        self,
        population: _Population,
        members: Sequence[Member],
        until: int,
        tick: Tick,
        pause: float,
    ) -> list[list[Point]]:
        """Train, evaluating on the way; the members' whole curves."""
        problem = self.problem
        curves = [list(member.run.curve) for member in members]
        if members[0].snapshot is None:
            population.judge(curves, 0, population.first_costs())
        for stop in segments(problem.steps, members[0].step, until, pause):
            taken = stop - population.step
            if all(ended(problem, curve) for curve in curves):
                for curve in curves:
                    curve.append(level(curve, stop))
                population.step = stop
            else:
                population.judge(curves, stop, population.run(stop))
            tick(taken * len(members))
        return curves

    def test(self, members: Sequence[Member]) -> list[float]:
        """The metric on the test data; see `Lane.test`."""
        assert self.problem.test is not None
        _, metric = self._populate(members).evaluate(self.problem.test, best=True)
        return metric.tolist()[: len(members)]

    def learned(self, member: Member) -> Tensors:
        """What a member's module holds; see `Lane.learned`."""
        return _Population(self, [member]).learned(0)

    def seconds_per_step(self, trials: Sequence[Trial], steps: int) -> float:
        """Seconds of one gradient step of one member; see `Lane.seconds_per_step`."""
        self._timed(trials, steps)  # to warm up
        return self._timed(trials, steps) / (steps * len(trials))

    def _timed(self, trials: Sequence[Trial], steps: int) -> float:
        """Seconds of the first steps of new runs."""
        with closing(self._populate([Member.new(trial) for trial in trials])) as population:
            start = time.perf_counter()
            population.run(steps)
            return time.perf_counter() - start

    def gradients(
        self, points: Tensor, buffers: Tensors, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensors]:
        """`member_gradients` of this lane's model as one graph, made at the first call.

        A graph is made for one size of minibatches; an epoch's last one may be smaller.
        """
        args = (points, buffers, inputs, targets)
        if inputs.shape not in self._gradients:
            plain = member_gradients(self.model, self.layout, self.problem.recipe.objective)
            made = Compiled(plain, args, False) if self.compiled else trace(plain, args)
            self._gradients[inputs.shape] = made
        return self._gradients[inputs.shape](*args)

    def _populate(self, members: Sequence[Member]) -> _Population:
        spare = [members[-1]] * (self.capacity - len(members))
        return _Population(self, [*members, *spare])


class _Population:
    """Members under way: their tensors, stacked.

    Points of all members lie in one tensor [members, size]; each rule's engine owns the rows of its
    members.
    """

    def __init__(self, lane: PopulationLane, members: Sequence[Member]):
        self._lane = lane
        self._problem = lane.problem
        self.step = members[0].step
        self._trials = [member.run.trial for member in members]
        self._seeds = [trial.seed for trial in self._trials]
        self._feed = feed_of(lane.problem, [(t.seed, lane.procedure(t)) for t in self._trials])
        distinct = {
            id(member): member for member in members
        }  # a spare is the member that it copies
        begun = {
            key: m.start_or_resume() or self._start(m.run.trial) for key, m in distinct.items()
        }
        rows = [begun[id(member)] for member in members]
        here = stacked(rows)
        self._points, self._buffers = here.weights, here.buffers
        self._best = stacked([row["best"] for row in rows]) if "best" in rows[0] else None
        self._engines = [
            (rows_of, self._engine(rows_of, rows))
            for rows_of in runs_of_equal(
                [lane.rule_number(lane.procedure(t)) for t in self._trials]
            )
        ]
        runs = [(engine, self._runs(rows)) for rows, engine in self._engines]
        self._scheduled = [(e, of) for e, of in runs if any(p.schedules for _, p in of)]
        self._schedule(max(0, self.step - 1))

    def close(self) -> None:
        """End what reads the data."""
        self._feed.close()

    def _start(self, trial: Trial) -> dict[str, Any]:
        model = starting_model(self._problem, self._lane.procedure(trial), trial.seed)
        weights = self._lane.layout.flatten(dict(model.named_parameters())).detach()
        return {"weights": weights, "buffers": constants(model), "state": None}

    def _engine(self, rows: slice, snapshots: list[dict[str, Any]]) -> PopulationEngine:
        states = [snapshot["state"] for snapshot in snapshots[rows]]
        fresh = states[0] is None
        return PopulationEngine(
            self._lane.procedure(self._trials[rows.start]).rule,
            [trial.hyper for trial in self._trials[rows]],
            self._points[rows],
            list(self._lane.layout.shapes.values()),
            None if fresh else {k: torch.stack([s[k] for s in states]) for k in states[0]},
        )

    def _schedule(self, step: int) -> None:
        """Set the scheduled hyperparameters to their values at a step."""
        for engine, runs in self._scheduled:
            values = [{**t.hyper, **procedure.scheduled(t.hyper, step)} for t, procedure in runs]
            for name in {name for _, procedure in runs for name in procedure.schedules}:
                engine.set(name, [of_member[name] for of_member in values])

    def _runs(self, rows: slice) -> list[tuple[Trial, Procedure]]:
        return [(trial, self._lane.procedure(trial)) for trial in self._trials[rows]]

    def run(self, until: int) -> Tensor:
        """Step to `until`; the mean training cost of each member over these steps, [members]."""
        costs = [self._one_step() for _ in range(self.step, until)]
        return torch.stack(costs).mean(dim=0)

    def _one_step(self) -> Tensor:
        grads, costs, after = self._gradients()
        self._schedule(self.step)
        for rows, engine in self._engines:
            engine.step(grads[rows], self._lane.kernels)
        self._buffers = after
        self.step += 1
        return costs

    def _gradients(self) -> tuple[Tensor, Tensor, Tensors]:
        self._write_keys()
        inputs, targets = self._feed.at(self.step)
        return self._lane.gradients(self._points, self._buffers, inputs, targets)

    def first_costs(self) -> Tensor:
        """The cost of each member's next minibatch, before any step."""
        return self._gradients()[1]

    def _write_keys(self) -> None:
        per_member = [keys(list(self._buffers), seed, self.step) for seed in self._seeds]
        for name in per_member[0]:
            self._buffers[name] = torch.tensor([values[name] for values in per_member])

    def judge(self, curves: Sequence[list[Point]], step: int, costs: Tensor) -> None:
        """Evaluate, and add the point of each member to its curve; the best weights are kept.

        Args:
            curves: the members' curves so far.
            step: where they stand.
            costs: their training costs, [members].
        """
        found = zip(costs, *self.evaluate(self._problem.validation), strict=True)
        best = torch.zeros(len(self._points), dtype=torch.bool)
        for member, (curve, values) in enumerate(zip(curves, found, strict=False)):
            if ended(self._problem, curve):
                point = level(curve, step)
            else:
                latest = Point(step, *map(float, values))
                point, best[member] = judged(self._problem, curve, latest)
            curve.append(point)
        if best.any():
            now = self._output()
            self._best = now if self._best is None else now.where(best, self._best)

    def evaluate(self, split: Split, best: bool = False) -> list[Tensor]:
        """Cost and metric of each member on a split, [members] each.

        Args:
            split: the data.
            best: evaluate the best weights kept, if there are any, in place of the present ones.
        """
        model = self._lane.model
        layout = self._lane.layout
        kept = self._best if best and self._best is not None else self._output()

        def forward(weight: Tensor, buffers: Tensors, x: Tensor) -> Tensor:
            return functional_call(model, {**layout.unflatten(weight), **buffers}, (x,))  # type: ignore[no-any-return]

        model.eval()
        recipe = self._problem.recipe
        with unfused_attention():
            values = mean_over(
                split,
                lambda x: vmap(forward, in_dims=(0, 0, None))(kept.weights, kept.buffers, x),
                (recipe.cost, recipe.measure),
                members=True,
            )
        model.train()
        return values

    def learned(self, member: int) -> Tensors:
        """One member's weights to evaluate, and buffers, by name."""
        row = (self._best or self._output()).row(member)
        return {**self._lane.layout.unflatten(row["weights"]), **row["buffers"]}

    def _output(self) -> Kept:
        """The weights to evaluate, and the buffers that belong to them."""
        weights = torch.cat([engine.output() for _, engine in self._engines])
        buffers = dict(self._buffers)
        for member, trial in enumerate(self._trials):
            if needs_refreshing(self._lane.procedure(trial).rule, self._lane.model):
                self._refresh(weights[member], buffers, member)
        return Kept(weights, buffers)

    def _refresh(self, weights: Tensor, buffers: Tensors, member: int) -> None:
        """Give one member the batch-norm statistics of these weights; the tensors are replaced."""
        model, layout = deepcopy(self._lane.model), self._lane.layout
        values = {**layout.unflatten(weights), **{n: b[member] for n, b in buffers.items()}}
        with torch.no_grad():
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                tensor.copy_(values[name])
        refresh_from(self._problem, model)
        for name, buffer in constants(model).items():
            buffers[name] = buffers[name].clone()
            buffers[name][member] = buffer

    def snapshot(self, member: int) -> dict[str, Any]:
        """Where one member stands, to continue from."""
        rows, engine = next((r, e) for r, e in self._engines if r.start <= member < r.stop)
        row = member - rows.start
        return {
            **Kept(self._points, self._buffers).row(member),
            "state": {name: value[row].clone() for name, value in engine.state.items()},
            **({} if self._best is None else {"best": self._best.row(member)}),
        }
