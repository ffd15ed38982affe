"""The serial lane: one member at a time, plain PyTorch. The reference, and the way for any module."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ravine.batches import Batches
from ravine.engines import eager
from ravine.recipes import Problem, Split, build_model
from ravine.rules import Rule
from ravine.seeds import derive
from ravine.training.flat import constants
from ravine.training.lane import Lane, Member, Tick, mean_over, segments
from ravine.training.noise import keyed, keys, restart
from ravine.training.records import Point, Trial
from ravine.transforms import at_probe


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
        with torch.random.fork_rng(devices=[]):
            return [self._train_one(member, until, tick, pause) for member in members]

    def _train_one(self, member: Member, until: int, tick: Tick, pause: float) -> Member:
        single = self._resume(member)
        validation = self.problem.validation
        rows: list[tuple[int, list[Tensor]]] = []
        if member.snapshot is None:
            rows.append((0, [single.first_cost(), *single.evaluate(validation)]))
        for stop in segments(self.problem.steps, member.step, until, pause):
            taken = stop - single.step
            rows.append((stop, [single.run(stop), *single.evaluate(validation)]))
            tick(taken)
        return member.after(
            [Point(s, *map(float, values)) for s, values in rows], single.snapshot()
        )

    def test(self, members: Sequence[Member]) -> list[float]:
        """The metric on the test data; see `Lane.test`."""
        assert self.problem.test is not None
        return [float(self._resume(m).evaluate(self.problem.test)[1]) for m in members]

    def seconds_per_step(self, trials: Sequence[Trial], steps: int) -> float:
        """Seconds of one gradient step of one member; see `Lane.seconds_per_step`."""
        singles = [self._resume(Member.new(trial)) for trial in trials]
        with torch.random.fork_rng(devices=[]):
            for single in singles:
                single.run(steps)
            start = time.perf_counter()
            for single in singles:
                single.run(2 * steps)
            return (time.perf_counter() - start) / (steps * len(trials))

    def _resume(self, member: Member) -> _Single:
        return _Single(self.problem, self.rules[member.run.trial.optimizer], member)


class _Single:
    """One member under way.

    The rule steps blocks of weights: for an elementwise rule one block, all parameters end to end
    (a step is then a dozen operations, however many parameters there are), else every parameter.
    The module's parameters are views of the weights: for a rule with a probe (Nesterov) the probe.
    """

    def __init__(self, problem: Problem, rule: Rule, member: Member):
        trial = member.run.trial
        self._problem = problem
        self._rule = at_probe(rule)
        self._seed = trial.seed
        self.step = member.step
        self._batches = Batches(
            [trial.seed], len(problem.train), problem.batch_size, problem.train.inputs.device
        )
        self._hyper = eager.hyper_tensors(trial.hyper)
        self._model = keyed(build_model(problem, trial.seed))
        self._params = [p for p in self._model.parameters() if p.requires_grad]
        self._constants = constants(self._model)
        self._weights = self._blocks()
        snapshot = member.start_or_resume()
        self._states = eager.init_states(self._rule, self._weights) if snapshot is None else []
        if snapshot is not None:
            self._restore(snapshot)

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
        for weight, saved in zip(self._weights, snapshot["weights"], strict=True):
            weight.copy_(saved)
        for name, saved in snapshot["buffers"].items():
            self._constants[name].copy_(saved)
        self._states = snapshot["state"]

    def run(self, until: int) -> Tensor:
        """Step to `until`; the mean training cost over these steps, 0-D."""
        return torch.stack([self._one_step() for _ in range(self.step, until)]).mean()

    def _one_step(self) -> Tensor:
        cost = self._cost()
        grads = torch.autograd.grad(cost, self._params, materialize_grads=True)
        blocks = (self._weights, self._gathered(grads), self._states)
        eager.step(self._rule, *blocks, eager.with_totals(self._rule, *blocks, self._hyper))
        self.step += 1
        return cost.detach()

    def _cost(self) -> Tensor:
        for name, value in keys(list(self._constants), self._seed, self.step).items():
            self._constants[name].fill_(value)
        restart(self._model)
        # Noise that is not keyed is named by seed and step, too. (`torch.manual_seed` would queue a
        # call for CUDA each time, with a stack trace: 0.2 ms.)
        torch.default_generator.manual_seed(derive(self._seed, "noise", self.step))
        batch = self._batches.at(self.step)[0]
        train = self._problem.train
        output = self._model(train.inputs[batch])
        return self._problem.recipe.cost(output, train.targets[batch])

    def first_cost(self) -> Tensor:
        """The cost of the next minibatch; buffers are left as they are."""
        saved = {name: value.clone() for name, value in self._constants.items()}
        cost = self._cost().detach()
        for name, value in saved.items():
            self._constants[name].copy_(value)
        return cost

    @torch.no_grad()
    def evaluate(self, split: Split) -> list[Tensor]:
        """Cost and metric on a split, 0-D each."""
        kept = [weight.clone() for weight in self._weights]
        for weight, state in zip(self._weights, self._states, strict=True):
            weight.copy_(eager.output(self._rule, weight, state, self._hyper))
        self._model.eval()
        recipe = self._problem.recipe
        values = mean_over(split, self._model, (recipe.cost, recipe.measure), members=False)
        self._model.train()
        for weight, value in zip(self._weights, kept, strict=True):
            weight.copy_(value)
        return values

    def snapshot(self) -> dict[str, Any]:
        """Where the member stands, to continue from."""
        return {
            "weights": [weight.clone() for weight in self._weights],
            "buffers": {name: value.clone() for name, value in self._constants.items()},
            "state": self._states,
        }
