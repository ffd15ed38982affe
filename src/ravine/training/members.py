"""Members of a population under way, and what several populations share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ravine.batches import Feed
from ravine.engines.graphs.compiling import NOTHING_ELSE
from ravine.engines.population import Kernels, PopulationEngine
from ravine.recipes import Problem, Split, build_model
from ravine.training.ending import ended, judged, level
from ravine.training.flat import Layout, constants
from ravine.training.gradients import Graphs
from ravine.training.lane import Member, Tensors, mean_over
from ravine.training.noise import keyed, keys, noisy
from ravine.training.pace import own_step
from ravine.training.procedure import Procedure, feed_of
from ravine.training.records import Point, Trial
from ravine.training.recurrent import plain_recurrent
from ravine.training.refreshing import needs_refreshing, refresh_from
from ravine.training.stacked import Kept, runs_of_equal, stacked
from ravine.training.start import starting_model
from ravine.training.unfused import unfused_attention


class Shared:
    """What the populations of one lane share: the model, its graphs, the compiled updates.

    Args:
        problem: what to train.
        procedures: name -> procedure.
        compiled: compile gradients and updates.
        options: of inductor.
    """

    def __init__(
        self,
        problem: Problem,
        procedures: Mapping[str, Procedure],
        compiled: bool,
        options: Mapping[str, Any] = NOTHING_ELSE,
    ):
        self.problem = problem
        self.procedures = procedures
        self.model: nn.Module = plain_recurrent(keyed(build_model(problem, seed=0)))
        self.layout = Layout.of(self.model)
        self.kernels = Kernels(options) if compiled else None
        self._graphs = Graphs(self.model, self.layout, problem.recipe.objective, compiled, options)

    def procedure(self, trial: Trial) -> Procedure:
        """The procedure that a trial names."""
        return self.procedures[trial.procedure]

    def own_step(self, trial: Trial, step: int) -> int:
        """The gradient steps that a trial takes until an evaluation step of the problem."""
        return own_step(self.problem, self.procedure(trial), step)

    def rule_number(self, procedure: Procedure) -> int:
        """Which of the lane's rules a procedure has. Rules are told apart by identity: a chain is
        named like the rule in it."""
        rules = [other.rule for other in self.procedures.values()]
        return next(i for i, rule in enumerate(rules) if rule is procedure.rule)

    def gradients(
        self, points: Tensor, buffers: Tensors, feed: Feed, step: int
    ) -> tuple[Tensor, Tensor, Tensors]:
        """What `member_gradients` gives on a feed's minibatches of a step."""
        return self._graphs(points, buffers, feed, step)


class Population:
    """Members under way: their tensors, stacked.

    Points of all members lie in one tensor [members, size]; each rule's engine owns the rows of its
    members.

    Args:
        shared: what it has in common with the lane's other populations.
        members: who trains; all stand at the same step, their minibatches are of one size, and
            members of one rule are side by side.
        width: with how many members; the last one is copied to fill up.

    Attributes:
        step: gradient steps that the members have taken.

    Raises:
        RuntimeError: members stand at different steps.
    """

    def __init__(self, shared: Shared, members: Sequence[Member], width: int = 0):
        steps = sorted({member.step for member in members})
        if len(steps) > 1:
            raise RuntimeError(f"members of a population stand at steps {steps}; expected one step")
        self._shared = shared
        self._problem = shared.problem
        self._members = members
        self._curves = [list(member.run.curve) for member in members]
        members = [*members, *[members[-1]] * (width - len(members))]
        self.step = shared.own_step(members[0].run.trial, steps[0])
        self._trials = [member.run.trial for member in members]
        self._seeds = [trial.seed for trial in self._trials]
        self._feed = feed_of(shared.problem, [(t.seed, shared.procedure(t)) for t in self._trials])
        distinct = {
            id(member): member for member in members
        }  # a spare is the member that it copies
        begun = {
            key: m.start_or_resume() or self._start(m.run.trial) for key, m in distinct.items()
        }
        rows = [begun[id(member)] for member in members]
        here = stacked(rows)
        self._points, self._buffers = here.weights, here.buffers
        self._noisy = noisy(self._buffers)
        self._best = stacked([row["best"] for row in rows]) if "best" in rows[0] else None
        self._engines = [
            (rows_of, self._engine(rows_of, rows))
            for rows_of in runs_of_equal(
                [shared.rule_number(shared.procedure(t)) for t in self._trials]
            )
        ]
        runs = [(engine, self._runs(rows)) for rows, engine in self._engines]
        self._scheduled = [(e, of) for e, of in runs if any(p.schedules for _, p in of)]
        self._schedule(max(0, self.step - 1))

    def close(self) -> None:
        """End what reads the data."""
        self._feed.close()

    def _start(self, trial: Trial) -> dict[str, Any]:
        model = starting_model(self._problem, self._shared.procedure(trial), trial.seed)
        weights = self._shared.layout.flatten(dict(model.named_parameters())).detach()
        return {"weights": weights, "buffers": constants(model), "state": None}

    def _engine(self, rows: slice, snapshots: list[dict[str, Any]]) -> PopulationEngine:
        states = [snapshot["state"] for snapshot in snapshots[rows]]
        fresh = states[0] is None
        return PopulationEngine(
            self._shared.procedure(self._trials[rows.start]).rule,
            [trial.hyper for trial in self._trials[rows]],
            self._points[rows],
            list(self._shared.layout.shapes.values()),
            None if fresh else {k: torch.stack([s[k] for s in states]) for k in states[0]},
        )

    def _schedule(self, step: int) -> None:
        """Set the scheduled hyperparameters to their values at a step."""
        for engine, runs in self._scheduled:
            values = [{**t.hyper, **procedure.scheduled(t.hyper, step)} for t, procedure in runs]
            for name in {name for _, procedure in runs for name in procedure.schedules}:
                engine.set(name, [of_member[name] for of_member in values])

    def _runs(self, rows: slice) -> list[tuple[Trial, Procedure]]:
        return [(trial, self._shared.procedure(trial)) for trial in self._trials[rows]]

    @property
    def ended(self) -> bool:
        """Whether no member trains any further."""
        return all(ended(self._problem, curve) for curve in self._curves)

    def begin(self) -> None:
        """Evaluate before the first step."""
        self._judge(self._gradients()[1], 0)

    def run(self, until: int, halted: Callable[[], bool] = lambda: False) -> Tensor:
        """Step to `until`; the mean training cost of each member over these steps, [members].

        Args:
            until: a later step of theirs.
            halted: whether to give up; asked after each step.
        """
        costs = [self._one_step()]
        while self.step < until and not halted():
            costs.append(self._one_step())
        return torch.stack(costs).mean(dim=0)

    def judge(self, costs: Tensor | None, step: int) -> None:
        """Add a point to each member's curve.

        Args:
            costs: what `run` to this step returned; None where all had ended, and none trained.
            step: the problem's evaluation step at which they stand now.
        """
        if costs is not None:
            self._judge(costs, step)
            return
        self.step = self._shared.own_step(self._trials[0], step)
        for curve in self._curves:
            curve.append(level(curve, step))

    def done(self) -> list[Member]:
        """The members as they are now."""
        return [
            member.after(curve[len(member.run.curve) :], self._snapshot(i))
            for i, (member, curve) in enumerate(zip(self._members, self._curves, strict=True))
        ]

    def test(self, split: Split) -> list[float]:
        """Each member's metric on the test data, of its best weights."""
        _, metric = self._evaluate(split, best=True)
        return metric.tolist()[: len(self._members)]

    def _one_step(self) -> Tensor:
        grads, costs, after = self._gradients()
        self._schedule(self.step)
        for rows, engine in self._engines:
            engine.step(grads[rows], self._shared.kernels)
        self._buffers = after
        self.step += 1
        return costs

    def _gradients(self) -> tuple[Tensor, Tensor, Tensors]:
        self._write_keys()
        return self._shared.gradients(self._points, self._buffers, self._feed, self.step)

    def _write_keys(self) -> None:
        if self._noisy:
            per_member = [keys(self._noisy, seed, self.step) for seed in self._seeds]
            for name in self._noisy:
                self._buffers[name] = torch.tensor([values[name] for values in per_member])

    def _judge(self, costs: Tensor, step: int) -> None:
        """Evaluate, and add the point of each member to its curve; the best weights are kept."""
        found = zip(costs, *self._evaluate(self._problem.validation), strict=True)
        best = torch.zeros(len(self._points), dtype=torch.bool)
        for member, (curve, values) in enumerate(zip(self._curves, found, strict=False)):
            if ended(self._problem, curve):
                point = level(curve, step)
            else:
                latest = Point(step, *map(float, values))
                point, best[member] = judged(self._problem, curve, latest)
            curve.append(point)
        if best.any():
            now = self._output()
            self._best = now if self._best is None else now.where(best, self._best)

    def _evaluate(self, split: Split, best: bool = False) -> list[Tensor]:
        """Cost and metric of each member on a split, [members] each.

        Args:
            split: the data.
            best: evaluate the best weights kept, if there are any, in place of the present ones.
        """
        model = self._shared.model
        layout = self._shared.layout
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
        return {**self._shared.layout.unflatten(row["weights"]), **row["buffers"]}

    def _output(self) -> Kept:
        """The weights to evaluate, and the buffers that belong to them."""
        weights = torch.cat([engine.output() for _, engine in self._engines])
        buffers = dict(self._buffers)
        for member, trial in enumerate(self._trials):
            if needs_refreshing(self._shared.procedure(trial).rule, self._shared.model):
                self._refresh(weights[member], buffers, member)
        return Kept(weights, buffers)

    def _refresh(self, weights: Tensor, buffers: Tensors, member: int) -> None:
        """Give one member the batch-norm statistics of these weights; the tensors are replaced."""
        model, layout = deepcopy(self._shared.model), self._shared.layout
        values = {**layout.unflatten(weights), **{n: b[member] for n, b in buffers.items()}}
        with torch.no_grad():
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                tensor.copy_(values[name])
        refresh_from(self._problem, model)
        for name, buffer in constants(model).items():
            buffers[name] = buffers[name].clone()
            buffers[name][member] = buffer

    def _snapshot(self, member: int) -> dict[str, Any]:
        """Where one member stands, to continue from."""
        rows, engine = next((r, e) for r, e in self._engines if r.start <= member < r.stop)
        row = member - rows.start
        return {
            **Kept(self._points, self._buffers).row(member),
            "state": {name: value[row].clone() for name, value in engine.state.items()},
            **({} if self._best is None else {"best": self._best.row(member)}),
        }
