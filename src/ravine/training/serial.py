"""The serial lane: one member at a time, plain PyTorch. The reference, and the way for any module."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ravine import hidden
from ravine.engines import eager
from ravine.errors import RecipeError
from ravine.recipes import Problem, Split, build_model
from ravine.seeds import derive, forked_generators, seed_python
from ravine.training.ending import ended, judged, level
from ravine.training.flat import constants, hold_constants
from ravine.training.lane import Lane, Member, Tensors, Tick, mean_over
from ravine.training.noise import Keyed, keyed, keys
from ravine.training.observer import Observe, Observer
from ravine.training.pace import own_step, segments
from ravine.training.procedure import Procedure, feed_of
from ravine.training.records import Point, Trial
from ravine.training.refreshing import needs_refreshing, refresh_from
from ravine.training.start import starting_model
from ravine.transforms import at_probe

OURS = (Keyed,)
"""Modules whose attributes are the lane's own."""


class SerialLane(Lane):
    """Train members one by one."""

    name = "serial"
    title = "one by one"

    def chunks(self, members: Sequence[Member]) -> list[Sequence[Member]]:
        """Every member on its own."""
        return [[member] for member in members]

    def train(
        self, members: Sequence[Member], until: int, tick: Tick, pause: float = math.inf
    ) -> list[Member]:
        """Train members one after the other; see `Lane.train`."""
        with forked_generators():
            return [self._train_one(member, until, tick, pause) for member in members]

    def train_observed(self, member: Member, until: int, tick: Tick, observe: Observe) -> Member:
        """Train one member while somebody listens; its curve and weights are what `train` gives."""
        (done,) = self.observed(member, [until], tick, observe)
        return done

    def observed(
        self, member: Member, stops: Sequence[int], tick: Tick, observe: Observe
    ) -> list[Member]:
        """The same, and where the member stood at each of several evaluation steps, ascending."""
        with forked_generators(), closing(self._resume(member)) as single:
            single.listen(observe)
            stood = []
            for stop in stops:
                points = self._points(single, member, stop, tick, math.inf)
                member = member.after(points, deepcopy(single.snapshot()))
                stood.append(member)
            return stood

    def _train_one(self, member: Member, until: int, tick: Tick, pause: float) -> Member:
        with closing(self._resume(member)) as single:
            points = self._points(single, member, until, tick, pause)
            return member.after(points, single.snapshot())

    def _points(
        self, single: _Single, member: Member, until: int, tick: Tick, pause: float
    ) -> list[Point]:
        """Train, evaluating on the way."""
        problem = self.problem
        points: list[Point] = []
        if member.snapshot is None:
            costs = [single.first_cost(), *single.evaluate(problem.validation)]
            points.append(single.judged((), Point(0, *map(float, costs))))
        for stop in segments(problem.steps, member.step, until, pause):
            curve = (*member.run.curve, *points)
            if ended(problem, curve):
                points.append(level(curve, stop))
            else:
                own = own_step(problem, self.procedure(member.run.trial), stop)
                costs = [single.run(own), *single.evaluate(problem.validation)]
                points.append(single.judged(curve, Point(stop, *map(float, costs))))
            tick(stop - curve[-1].step)
        return points

    def test(self, members: Sequence[Member]) -> list[float]:
        """The metric on the test data; see `Lane.test`."""
        test = self.problem.test
        assert test is not None
        return [float(self._resume(m).evaluate(test, best=True)[1]) for m in members]

    def learned(self, member: Member) -> Tensors:
        """What a member's module holds; see `Lane.learned`."""
        return self._resume(member).learned()

    def attributes(self, member: Member) -> dict[str, Any]:
        """See `Lane.attributes`."""
        return self._resume(member).attributes()

    def _timed(self, trials: Sequence[Trial], steps: int) -> float:
        with forked_generators(), ExitStack() as opened:
            singles = [opened.enter_context(closing(self._resume(Member.new(t)))) for t in trials]
            start = time.perf_counter()
            for single in singles:
                single.run(steps)
            return time.perf_counter() - start

    def stepper(self, trial: Trial) -> Callable[[float], Tensor]:
        """A new run that takes one step a call, at the learning rate given, and returns its cost."""
        single = self._resume(Member.new(trial))

        def step(lr: float) -> Tensor:
            with forked_generators():
                return single.step_at(lr)

        return step

    def _resume(self, member: Member) -> _Single:
        return _Single(self.problem, self.procedure(member.run.trial), member)


@dataclass(frozen=True)
class _Kept:
    """Weights, by block; buffers, by name; attributes other than the constructor left them, by name."""

    weights: list[Tensor]
    buffers: Tensors
    attributes: dict[str, Any] = field(default_factory=dict)


class _Single:
    """One member under way.

    The rule steps blocks of weights: for an elementwise rule one block, all parameters end to end
    (a step is then a dozen operations, however many parameters there are), else every parameter.
    The module's parameters are views of the weights: for a rule with a probe (Nesterov) the probe.
    """

    def __init__(self, problem: Problem, procedure: Procedure, member: Member):
        trial = member.run.trial
        self._problem = problem
        self._procedure = procedure
        self._rule = at_probe(procedure.rule)
        self._trial = trial
        self.step = own_step(problem, procedure, member.step)
        self._feed = feed_of(problem, [(trial.seed, procedure)])
        snapshot = member.start_or_resume()
        self._model = (
            starting_model(problem, procedure, trial.seed)
            if snapshot is None
            else keyed(build_model(problem, trial.seed))
        )
        self._named = {n: p for n, p in self._model.named_parameters() if p.requires_grad}
        self._params = list(self._named.values())
        self._keyed = [module for module in self._model.modules() if isinstance(module, Keyed)]
        self._key_names = keys(list(constants(self._model)), trial.seed, 0)
        self._built = hidden.attributes(self._model, OURS)
        self._weights = self._blocks()
        self._hyper = eager.hyper_tensors(trial.hyper)
        self._schedule(max(0, self.step - 1))
        self._best: _Kept | None = None
        self._observer: Observer | None = None
        self._states = eager.init_states(self._rule, self._weights) if snapshot is None else []
        if snapshot is not None:
            self._restore(snapshot)

    def listen(self, observe: Observe) -> None:
        """Let somebody hear of the steps to come."""
        self._observer = observe(
            self._model, self._named, lambda: dict.fromkeys(self._named, float(self._hyper["lr"]))
        )
        self._observer.start()

    def close(self) -> None:
        """End what reads the data, and what listens."""
        self._feed.close()
        if self._observer is not None:
            self._observer.stop()

    def _schedule(self, step: int) -> None:
        """Set the scheduled hyperparameters to their values at a step."""
        values = self._procedure.scheduled(self._trial.hyper, step)
        self._hyper |= eager.hyper_tensors(values)

    def _blocks(self) -> list[Tensor]:
        if self._rule.granularity != "elementwise":
            return [p.detach() for p in self._params]
        flat = parameters_to_vector(self._params).detach()
        vector_to_parameters(flat, self._params)  # from now on they are views of it
        return [flat]

    def _gathered(self, grads: Sequence[Tensor]) -> list[Tensor]:
        """Gradients by parameter -> by block."""
        if self._rule.granularity != "elementwise":
            return list(grads)
        return [torch.cat([grad.reshape(-1) for grad in grads])]

    def _restore(self, snapshot: dict[str, Any]) -> None:
        held = {name: snapshot[name] for name in vars(self._here()) if name in snapshot}
        self._hold(_Kept(**held))
        self._states = snapshot["state"]
        if "best" in snapshot:
            self._best = _Kept(**snapshot["best"])

    @torch.no_grad()
    def _hold(self, kept: _Kept) -> None:
        """Put weights, buffers and attributes into the module."""
        for weight, saved in zip(self._weights, kept.weights, strict=True):
            weight.copy_(saved)
        hold_constants(self._model, kept.buffers)
        hidden.put(self._model, self._built, kept.attributes, OURS)

    def run(self, until: int) -> Tensor:
        """Step to `until`; the mean training cost over these steps, 0-D."""
        seed_python(derive(self._trial.seed, "noise", self.step))
        costs = torch.stack([self._one_step() for _ in range(self.step, until)])
        self._insist_on_parameters()
        return costs.mean()

    def _insist_on_parameters(self) -> None:
        """Raise RecipeError unless the module still has the trainable parameters that it began with."""
        now = [p for p in self._model.parameters() if p.requires_grad]
        if len(now) != len(self._params) or not all(map(is_, now, self._params)):
            raise RecipeError(
                "the model has made, dropped, frozen or unfrozen parameters while it trained; expected "
                "the same trainable ones from the first step to the last"
            )

    def step_at(self, lr: float) -> Tensor:
        """One step at a learning rate of the caller's; its cost, 0-D."""
        self._trial = replace(self._trial, hyper={**self._trial.hyper, "lr": lr})
        self._hyper |= eager.hyper_tensors({"lr": lr})
        return self._one_step()

    def _one_step(self) -> Tensor:
        cost = self._cost()
        if self._observer is not None:
            self._observer.before_backward(cost)
        grads = self._gradients(cost)
        blocks = (self._weights, self._gathered(grads), self._states)
        self._schedule(self.step)
        if self._observer is not None:
            self._observer.before_step()
        eager.step(self._rule, *blocks, eager.with_totals(self._rule, *blocks, self._hyper))
        self.step += 1
        if self._observer is not None:
            self._observer.after_step(dict(zip(self._named, grads, strict=True)))
        return cost.detach()

    def _gradients(self, cost: Tensor) -> tuple[Tensor, ...]:
        """The gradient of each parameter.

        Activation checkpointing runs parts of the forward pass again, whose dropout has to be that of
        the first time. A layer's uses are counted, so it is for layers that are used once.
        """
        uses = [layer.calls for layer in self._keyed]
        for layer in self._keyed:
            layer.calls = 0
        try:
            grads = torch.autograd.grad(cost, self._params, materialize_grads=True)
        except RuntimeError:
            self._insist_on_parameters()
            raise
        if any(layer.calls > (n == 1) for layer, n in zip(self._keyed, uses, strict=True)):
            raise RecipeError(
                "activation checkpointing runs a dropout layer again that is used several times in one "
                "forward pass; expected a layer of its own in each place"
            )
        return grads

    def _cost(self) -> Tensor:
        seed = self._trial.seed
        if self._keyed:
            buffers = dict(self._model.named_buffers())
            for name, value in keys(list(self._key_names), seed, self.step).items():
                buffers[name].fill_(value)
        for layer in self._keyed:
            layer.calls = 0
        # Noise that is not keyed is named by seed and step, too. (`torch.manual_seed` would queue a
        # call for CUDA each time, with a stack trace: 0.2 ms.)
        torch.default_generator.manual_seed(derive(seed, "noise", self.step))
        inputs, targets = self._feed.at(self.step)
        output = self._model(inputs[0])
        return self._problem.recipe.objective(output, targets[0], self._named)

    def first_cost(self) -> Tensor:
        """The cost of the next minibatch; buffers and attributes are left as they are."""
        seed_python(derive(self._trial.seed, "noise", self.step))
        before = self._here()
        cost = self._cost().detach()
        self._hold(before)
        return cost

    def judged(self, curve: Sequence[Point], latest: Point) -> Point:
        """The point to record after an evaluation; the best weights are kept."""
        point, best = judged(self._problem, curve, latest)
        if best:
            self._best = self._output()
        if self._observer is not None:
            self._observer.evaluated(point)
        return point

    @torch.no_grad()
    def evaluate(self, split: Split, best: bool = False) -> list[Tensor]:
        """Cost and metric on a split, 0-D each.

        Args:
            split: the data.
            best: evaluate the best weights kept, if there are any, in place of the present ones.
        """
        before = self._here()
        self._hold(self._best if best and self._best is not None else self._output())
        self._model.eval()
        recipe = self._problem.recipe
        values = mean_over(split, self._model, (recipe.cost, recipe.measure), members=False)
        self._model.train()
        self._hold(before)
        return values

    @torch.no_grad()
    def learned(self) -> Tensors:
        """The weights to evaluate, and buffers, by name."""
        before = self._here()
        self._hold(self._best or self._output())
        held = {**dict(self._model.named_parameters()), **constants(self._model)}
        copies = {name: tensor.detach().clone() for name, tensor in held.items()}
        self._hold(before)
        return copies

    def attributes(self) -> dict[str, Any]:
        """The attributes that belong to the weights to evaluate, where training has changed them."""
        return (self._best or self._here()).attributes

    def _here(self) -> _Kept:
        """Copies of weights, buffers and attributes as they are."""
        return _Kept(
            [weight.clone() for weight in self._weights],
            {name: value.detach().clone() for name, value in constants(self._model).items()},
            hidden.changed(self._built, hidden.attributes(self._model, OURS)),
        )

    def _output(self) -> _Kept:
        """Copies of the weights to evaluate, and of the buffers that belong to them."""
        here = self._here()
        pairs = zip(here.weights, self._states, strict=True)
        weights = [eager.output(self._rule, w, s, self._hyper).clone() for w, s in pairs]
        if not needs_refreshing(self._procedure.rule, self._model):
            return replace(here, weights=weights)
        self._hold(replace(here, weights=weights))
        refresh_from(self._problem, self._model)
        refreshed = self._here()
        self._hold(here)
        return refreshed

    def snapshot(self) -> dict[str, Any]:
        """Where the member stands, to continue from."""
        best = {} if self._best is None else {"best": vars(self._best)}
        return {**vars(self._here()), "state": self._states, **best}
