"""The population lane: many members of one problem in one process, whatever their optimizers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from ravine.batches import Batches
from ravine.engines.graphs.compiling import Compiled, trace
from ravine.engines.population import Kernels, PopulationEngine
from ravine.recipes import Problem, Split, build_model
from ravine.rules import Rule
from ravine.training.flat import Layout, constants
from ravine.training.lane import Lane, Member, Tick, mean_over, segments
from ravine.training.noise import keyed, keys, restart
from ravine.training.records import Point, Trial

Tensors = dict[str, Tensor]
Gradients = Callable[[Tensor, Tensors, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensors]]


class PopulationLane(Lane):
    """Train chunks of members together.

    Smaller chunks are filled up to `capacity` with copies: vmap bakes the number of members into a
    compiled graph, and batched kernels of different sizes round differently. So a member's curve is
    the same to the last bit in any company of one lane.

    Args:
        problem: what to train.
        rules: optimizer name -> rule.
        capacity: members in a chunk.
        compiled: compile gradients and updates.
    """

    name = "population"

    def __init__(
        self, problem: Problem, rules: Mapping[str, Rule], capacity: int, compiled: bool = True
    ):
        super().__init__(problem, rules)
        self.capacity = capacity
        self.compiled = compiled
        self.title = f"population of up to {capacity}, {'' if compiled else 'not '}compiled"
        self.model = keyed(build_model(problem, seed=0))
        self.layout = Layout.of(self.model)
        self._gradients: Gradients | None = None
        self.kernels: Kernels | None = {} if compiled else None

    def chunks(self, members: Sequence[Member]) -> list[Sequence[Member]]:
        """Members by optimizer, `capacity` at a time."""
        ordered = sorted(members, key=lambda member: member.run.trial.optimizer)
        return [ordered[i : i + self.capacity] for i in range(0, len(ordered), self.capacity)]

    def train(
        self, members: Sequence[Member], until: int, tick: Tick, pause: float = math.inf
    ) -> list[Member]:
        """Train members together; see `Lane.train`."""
        population = self._populate(members)
        validation = self.problem.validation
        rows: list[tuple[int, list[Tensor]]] = []
        if members[0].snapshot is None:
            rows.append((0, [population.first_costs(), *population.evaluate(validation)]))
        for stop in segments(self.problem.steps, members[0].step, until, pause):
            taken = stop - population.step
            rows.append((stop, [population.run(stop), *population.evaluate(validation)]))
            tick(taken * len(members))
        return [
            member.after(
                [Point(step, *(float(v[i]) for v in values)) for step, values in rows],
                population.snapshot(i),
            )
            for i, member in enumerate(members)
        ]

    def test(self, members: Sequence[Member]) -> list[float]:
        """The metric on the test data; see `Lane.test`."""
        assert self.problem.test is not None
        _, metric = self._populate(members).evaluate(self.problem.test)
        return metric.tolist()[: len(members)]

    def seconds_per_step(self, trials: Sequence[Trial], steps: int) -> float:
        """Seconds of one gradient step of one member; see `Lane.seconds_per_step`."""
        population = self._populate([Member.new(trial) for trial in trials])
        population.run(steps)
        start = time.perf_counter()
        population.run(2 * steps)
        return (time.perf_counter() - start) / (steps * len(trials))

    def gradients(self, *args: Any) -> tuple[Tensor, Tensor, Tensors]:
        """`member_gradients` of this lane's model as one graph, made at the first call."""
        if self._gradients is None:
            plain = member_gradients(self.model, self.layout, self.problem.recipe.cost)
            self._gradients = Compiled(plain, args, False) if self.compiled else trace(plain, args)
        return self._gradients(*args)

    def _populate(self, members: Sequence[Member]) -> _Population:
        spare = [members[-1]] * (self.capacity - len(members))
        return _Population(self, [*members, *spare])


def member_gradients(
    model: torch.nn.Module, layout: Layout, cost: Callable[[Tensor, Tensor], Tensor]
) -> Gradients:
    """Every member's gradient and cost on its own minibatch; nothing is summed over members.

    The function returned takes
        points: where to take gradients, [members, size];
        buffers: stacked constants by name, [members, ...]; a forward pass may update them;
        inputs, targets: all training examples;
        batch: indices, int64 [members, batch_size];
    and returns gradients [members, size], costs [members], and the buffers after the forward pass.
    """

    def forward(weights: Tensors, buffers: Tensors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensors]:
        restart(model)
        after = dict(buffers)  # modules write to buffers in place: into these tensors
        output = functional_call(model, {**weights, **after}, (x,))
        return cost(output, y), after

    def one(
        point: Tensor, buffers: Tensors, x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, Tensors]:
        weights = layout.unflatten(point)
        grads, (value, after) = grad_and_value(forward, has_aux=True)(weights, buffers, x, y)
        return layout.flatten(grads), value, after

    def several(
        points: Tensor, buffers: Tensors, inputs: Tensor, targets: Tensor, batch: Tensor
    ) -> tuple[Tensor, Tensor, Tensors]:
        buffers = {name: buffer.clone() for name, buffer in buffers.items()}
        return vmap(one)(points, buffers, inputs[batch], targets[batch])

    return several


class _Population:
    """Members under way: their tensors, stacked.

    Points of all members lie in one tensor [members, size]; each optimizer's engine owns the rows
    of its members.
    """

    def __init__(self, lane: PopulationLane, members: Sequence[Member]):
        self._lane = lane
        self._problem = lane.problem
        self.step = members[0].step
        self._seeds = [member.run.trial.seed for member in members]
        self._batches = Batches(
            self._seeds,
            len(self._problem.train),
            self._problem.batch_size,
            self._problem.train.inputs.device,
        )
        snapshots = [m.start_or_resume() or self._start(m.run.trial.seed) for m in members]
        self._points = torch.stack([snapshot["weights"] for snapshot in snapshots])
        self._buffers = {
            name: torch.stack([snapshot["buffers"][name] for snapshot in snapshots])
            for name in snapshots[0]["buffers"]
        }
        self._engines = [
            (rows, self._engine(name, rows, members, snapshots))
            for name, rows in _rows([member.run.trial.optimizer for member in members])
        ]

    def _start(self, seed: int) -> dict[str, Any]:
        model = keyed(build_model(self._problem, seed))
        weights = self._lane.layout.flatten(dict(model.named_parameters())).detach()
        return {"weights": weights, "buffers": constants(model), "state": None}

    def _engine(
        self, name: str, rows: slice, members: Sequence[Member], snapshots: list[dict[str, Any]]
    ) -> PopulationEngine:
        states = [snapshot["state"] for snapshot in snapshots[rows]]
        fresh = states[0] is None
        return PopulationEngine(
            self._lane.rules[name],
            [member.run.trial.hyper for member in members[rows]],
            self._points[rows],
            list(self._lane.layout.shapes.values()),
            None if fresh else {k: torch.stack([s[k] for s in states]) for k in states[0]},
        )

    def run(self, until: int) -> Tensor:
        """Step to `until`; the mean training cost of each member over these steps, [members]."""
        costs = [self._one_step() for _ in range(self.step, until)]
        return torch.stack(costs).mean(dim=0)

    def _one_step(self) -> Tensor:
        grads, costs, after = self._gradients()
        for rows, engine in self._engines:
            engine.step(grads[rows], self._lane.kernels)
        self._buffers = after
        self.step += 1
        return costs

    def _gradients(self) -> tuple[Tensor, Tensor, Tensors]:
        self._write_keys()
        train = self._problem.train
        batch = self._batches.at(self.step)
        return self._lane.gradients(self._points, self._buffers, train.inputs, train.targets, batch)

    def first_costs(self) -> Tensor:
        """The cost of each member's next minibatch, before any step."""
        return self._gradients()[1]

    def _write_keys(self) -> None:
        per_member = [keys(list(self._buffers), seed, self.step) for seed in self._seeds]
        for name in per_member[0]:
            self._buffers[name] = torch.tensor([values[name] for values in per_member])

    def evaluate(self, split: Split) -> list[Tensor]:
        """Cost and metric of each member on a split, [members] each."""
        model = self._lane.model
        layout = self._lane.layout
        weights = torch.cat([engine.output() for _, engine in self._engines])

        def forward(weight: Tensor, buffers: Tensors, x: Tensor) -> Tensor:
            return functional_call(model, {**layout.unflatten(weight), **buffers}, (x,))  # type: ignore[no-any-return]

        model.eval()
        recipe = self._problem.recipe
        values = mean_over(
            split,
            lambda x: vmap(forward, in_dims=(0, 0, None))(weights, self._buffers, x),
            (recipe.cost, recipe.measure),
            members=True,
        )
        model.train()
        return values

    def snapshot(self, member: int) -> dict[str, Any]:
        """Where one member stands, to continue from."""
        rows, engine = next((r, e) for r, e in self._engines if r.start <= member < r.stop)
        row = member - rows.start
        return {
            "weights": engine.weights[row].clone(),
            "buffers": {name: buffer[member].clone() for name, buffer in self._buffers.items()},
            "state": {name: value[row].clone() for name, value in engine.state.items()},
        }


def _rows(names: Sequence[str]) -> list[tuple[str, slice]]:
    """Runs of equal names: the name and the rows it holds."""
    starts = [i for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
    return [
        (names[start], slice(start, stop))
        for start, stop in zip(starts, [*starts[1:], len(names)], strict=True)
    ]
