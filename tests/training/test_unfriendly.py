"""Modules that do what a traced graph loses: serial, with the curve of a hand-written loop, or said."""

from __future__ import annotations

import collections
import itertools
import math
import random
import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils import spectral_norm as older_spectral_norm
from torch.utils.checkpoint import checkpoint

from ravine import recipes
from ravine.batches import Batches
from ravine.errors import RecipeError
from ravine.recipes import build_model
from ravine.seeds import derive
from ravine.training.choose import choose, why_not_population
from ravine.training.lane import Member, pack, unpack
from ravine.training.noise import keyed, keys, restart
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.problems import digits_problem, plain

PLAIN = plain("sgd", "adam")
STEPS = 27
RATE = 1e-2


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))


class Looking(nn.Module):
    """A data-dependent branch."""

    def __init__(self):
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x)
        return out * 1.1 if out.sum() > 0 else out


class Reading(Looking):
    """`.item()`."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x)
        return out / (1 + abs(out.mean().item()))


class Reassigning(Looking):
    """A buffer set to a new tensor, which it looks at in the next step."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(10))

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x) - self.mean
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * out.detach().mean(0)
        return out


class ReassigningLate(Looking):
    """The same, from the tenth step on."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(10))

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x) - self.mean
        if self.training:
            self.calls += 1
            if self.calls > 10:
                self.mean = 0.9 * self.mean + 0.1 * out.detach().mean(0)
        return out


class Counting(Looking):
    """A number in Python that matters from the twelfth step on."""

    def __init__(self):
        super().__init__()
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        return self.net(x) * (1.0 if self.steps < 12 else 0.5)


class Remembering(Looking):
    """A list and a tensor that are no buffers."""

    def __init__(self):
        super().__init__()
        self.history = {"norms": [1.0]}
        self.last = None

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x) * min(1.0, sum(self.history["norms"]) / 5)
        if self.last is not None:
            out = out - 0.1 * self.last.mean(0)
        if self.training:
            self.history["norms"].append(float(out.detach().abs().mean()))
            self.last = out.detach()
        return out


class Spectral(Looking):
    """Spectral norm by a parametrization."""

    def __init__(self):
        super().__init__()
        parametrizations.spectral_norm(self.net[0])


class OlderSpectral(Looking):
    """Spectral norm by a hook."""

    def __init__(self):
        super().__init__()
        older_spectral_norm(self.net[0])


class Checkpointing(Looking):
    """Activations made again in the backward pass, dropout among them."""

    def __init__(self):
        super().__init__()
        self.noise = nn.Dropout(0.3)

    def part(self, x: Tensor) -> Tensor:
        return self.noise(self.net(x))

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.part, x, use_reentrant=False)


class Rolling(Looking):
    """Noise from torch's generator, from no layer."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x * (torch.rand(64) > 0.3)) if self.training else self.net(x)


class Clamping(Looking):
    """Weights cut to a range, which they reach late."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.net[0].weight.clamp_(-0.2, 0.2)
        return self.net(x)


class Hooked(Looking):
    """A gradient that is cut, where it is large."""

    def __init__(self):
        super().__init__()
        self.net[0].weight.register_hook(lambda grad: grad.clamp(-1e-2, 1e-2))


class Drawing(Looking):
    """A random projection that is no buffer."""

    def __init__(self):
        super().__init__()
        self.projection = torch.randn(64, 64, dtype=torch.float64) / 8

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x @ self.projection)


class All(nn.Module):
    """All traits at once."""

    def __init__(self):
        super().__init__()
        self.first = older_spectral_norm(nn.Linear(64, 12))
        self.noise = nn.Dropout(0.2)
        self.last = parametrizations.spectral_norm(nn.Linear(12, 10))
        self.register_buffer("mean", torch.zeros(12))
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x)) - self.mean
        if self.training:
            self.steps += 1
            self.mean = 0.9 * self.mean + 0.1 * hidden.detach().mean(0)
        hidden = hidden * (1 + 0.1 * math.sin(self.steps))
        out = checkpoint(lambda h: self.last(self.noise(h)), hidden, use_reentrant=False)
        return out / (1 + abs(out.mean().item())) if out.sum() > 0 else out


TRAITS = [
    *(Looking, Reading, Reassigning, ReassigningLate, Counting, Remembering, Spectral),
    *(OlderSpectral, Checkpointing, Rolling, Clamping, Hooked, Drawing, All),
]


def problem_of(model, **changes):
    return digits_problem(model, torch.float64, steps=STEPS, **changes)


def by_hand(problem, seed: int) -> tuple[list[float], Tensor]:
    """A loop with torch's own SGD; training costs step by step, and the outputs at the end."""
    model = keyed(build_model(problem, seed))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    batches = Batches([seed], len(problem.train), 32, torch.device("cpu"))
    costs = []
    for step in range(STEPS):
        for name, value in keys([n for n, _ in model.named_buffers()], seed, step).items():
            model.get_buffer(name).fill_(value)
        restart(model)
        torch.manual_seed(derive(seed, "noise", step))
        batch = batches.at(step)[0]
        cost = F.cross_entropy(model(problem.train.inputs[batch]), problem.train.targets[batch])
        restart(model)  # a layer that is run again is run for the first time
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        costs.append(cost.item())
    with torch.no_grad():
        return costs, model.eval()(problem.validation.inputs)


def trained(lane: SerialLane, seed: int, stops: tuple[int, ...]) -> Member:
    member = Member.new(Trial("sgd", {"lr": RATE}, seed))
    for stop in stops:
        (member,) = lane.train([member], stop, lambda steps: None)
        member = Member(member.run, unpack(pack(member.snapshot)))
    return member


@pytest.mark.parametrize("model", TRAITS)
def test_serial_is_a_hand_written_loop_and_continues(model):
    """Evaluated on the way, saved and loaded twice."""
    problem = problem_of(model)
    member = trained(SerialLane(problem, PLAIN), 3, (9, 18, STEPS))
    costs, outputs = by_hand(problem, 3)
    found = [point.cost for point in member.run.curve[1:]]
    assert found == pytest.approx(costs, rel=1e-12)
    assert member.run.curve[0].cost == found[0]
    with torch.no_grad():
        module = SerialLane(problem, PLAIN).module(member)
        again = module(problem.validation.inputs)
    assert (again - outputs).abs().max() <= 1e-11 * outputs.abs().max()


@pytest.mark.parametrize("model", TRAITS)
def test_auto_takes_the_serial_lane_and_says_why(model):
    recipes.check(problem_of(model))
    trials = [Trial(name, {**arm.rule.defaults, "lr": RATE}, 0) for name, arm in PLAIN.items()]
    choice = choose(problem_of(model), PLAIN, trials, "auto", 4, work=1)
    assert choice.lane.name == "serial"
    assert choice.reason not in ("as asked", "fastest when timed")
    assert "\n" not in choice.reason


class ByPython(Looking):
    """Noise from Python's generator."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * (1 + 0.1 * random.random())


class ByNumPy(Looking):
    """Noise from NumPy's generator, and a start from it."""

    def __init__(self):
        super().__init__()
        self.scale = float(np.random.rand())

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * self.scale * (1 + 0.1 * np.random.rand())


@pytest.mark.parametrize("model", [ByPython, ByNumPy])
def test_generators_of_python_and_numpy_follow_the_seed(model):
    problem = problem_of(model)
    lane = SerialLane(problem, PLAIN)
    before = random.getstate(), np.random.get_state()[1].tolist()
    whole = trained(lane, 3, (STEPS,))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    random.seed(9)
    assert trained(lane, 3, (9, STEPS)).run.curve == whole.run.curve
    assert trained(lane, 4, (STEPS,)).run.curve != whole.run.curve
    assert why_not_population(problem, PLAIN, sgd_trials()) is not None


def sgd_trials() -> list[Trial]:
    return [Trial("sgd", {"lr": RATE}, 0)]


class Shared(nn.Module):
    """State of all instances."""

    calls = itertools.count()
    total = 0

    def __init__(self):
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        Shared.total += 1
        return self.net(x)


class Queueing(Looking):
    """An attribute that no checkpoint can hold."""

    def __init__(self):
        super().__init__()
        self.queue = collections.deque(maxlen=3)

    def forward(self, x: Tensor) -> Tensor:
        self.queue.append(float(x.mean()))
        return self.net(x)


COUNT = [0]


class Global(Looking):
    """A list of its module, by a function of it."""

    def forward(self, x: Tensor) -> Tensor:
        count()
        return self.net(x)


def count() -> None:
    COUNT[0] += 1


@pytest.mark.parametrize(
    ("model", "what"), [(Shared, "Shared.total"), (Queueing, "queue"), (Global, "COUNT")]
)
def test_what_no_trial_has_for_itself_is_said(model, what):
    problem = problem_of(model)
    with pytest.warns(RuntimeWarning, match=rf"each step changes .*{what}"):
        recipes.check(problem)
    assert what in why_not_population(problem, PLAIN, sgd_trials())


def test_a_cost_with_a_memory_is_said():
    steps = [0]

    def cost(output: Tensor, target: Tensor) -> Tensor:
        steps[0] += 1
        return F.cross_entropy(output, target) * (1 if steps[0] < 1000 else 2)

    problem = problem_of(net, cost=cost)
    with pytest.warns(RuntimeWarning, match="each step changes .*steps"):
        recipes.check(problem)
    assert "steps" in why_not_population(problem, PLAIN, sgd_trials())


class Caching(Looking):
    """What it needs is made once."""

    memo: dict[int, Tensor] = {}  # noqa: RUF012

    def forward(self, x: Tensor) -> Tensor:
        self.memo.setdefault(len(x), torch.ones(len(x), 1, dtype=x.dtype))
        return self.net(x * self.memo[len(x)])


def test_a_cache_is_no_reason_for_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipes.check(problem_of(Caching))


class Parts(nn.Module):
    """Modules, parameters and buffers, in lists and tuples beside; a constant tensor."""

    def __init__(self):
        super().__init__()
        self.net = net()
        self.norm = nn.BatchNorm1d(10)
        self.parts = [self.net[0], (self.net[2].weight, self.norm.running_mean)]
        self.scale = torch.full((10,), 0.5)
        self.activation = lambda x: x

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.activation(self.net(x)) * self.scale)


def test_what_is_registered_or_constant_is_no_obstacle():
    assert why_not_population(digits_problem(Parts), PLAIN, sgd_trials()) is None


class Twice(Checkpointing):
    """One dropout in two checkpointed places."""

    def forward(self, x: Tensor) -> Tensor:
        first = checkpoint(self.noise, x, use_reentrant=False)
        return checkpoint(self.part, first, use_reentrant=False)


def test_a_dropout_layer_that_would_be_run_again_with_other_noise_is_refused():
    with pytest.raises(RecipeError, match="a layer of its own in each place"):
        trained(SerialLane(problem_of(Twice), PLAIN), 0, (1,))


class Freezing(Counting):
    """Freezes a layer after some steps."""

    def forward(self, x: Tensor) -> Tensor:
        self.net[0].requires_grad_(self.steps < 5)
        return super().forward(x)


class Thawing(Counting):
    """Begins to train a layer after some steps."""

    def __init__(self):
        super().__init__()
        self.net[0].requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        if self.steps == 5:
            self.net[0].requires_grad_(True)
        return super().forward(x)


@pytest.mark.parametrize("model", [Freezing, Thawing])
def test_parameters_that_come_and_go_are_refused(model):
    with pytest.raises(RecipeError, match="frozen or unfrozen parameters"):
        trained(SerialLane(problem_of(model), PLAIN), 0, (STEPS,))


class LastBatch(Looking):
    """Other for a smaller minibatch."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if len(x) < 32:
            self.seen = self.seen + 1
        return self.net(x)


def test_the_last_minibatch_is_looked_at_too():
    assert why_not_population(problem_of(LastBatch), PLAIN, sgd_trials()) is None
    kept = problem_of(LastBatch, last_batch="keep")
    assert "buffer seen" in why_not_population(kept, PLAIN, sgd_trials())


def test_a_penalty_with_a_memory_is_said():
    steps = [0]

    def penalty(named: Mapping[str, Tensor]) -> Tensor:
        steps[0] += 1
        return named["0.weight"].square().sum() * (1 if steps[0] < 1000 else 2)

    problem = problem_of(net)
    problem = replace(problem, recipe=replace(problem.recipe, penalty=penalty))
    with pytest.warns(RuntimeWarning, match="each step changes .*steps"):
        recipes.check(problem)
    assert "it changes" in why_not_population(problem, PLAIN, sgd_trials())
