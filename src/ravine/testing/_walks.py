"""The problem that rules are tried on, and their paths on it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ravine.engines import eager
from ravine.errors import InputError
from ravine.rules import Hyper, Rule, State
from ravine.rules._rule import Update

STEPS = 24
"""Enough for a rule that renews something every tenth step to do so twice."""

Shape = tuple[int, ...]

Path = list[list[Tensor]]
"""Tensors after every step."""

Make = Callable[[Rule, MutableMapping[Tensor, State]], Any]
"""(rule, store) -> an engine."""


@dataclass(frozen=True)
class Problem:
    """½ Σ h⊙(θ-c)² over several parameters, 0.1 < h < 1, and noise on the gradient of every step.

    Attributes:
        start: where parameters begin.
        center: c. curvature: h. noise: [steps, ...].
    """

    start: list[Tensor]
    center: list[Tensor]
    curvature: list[Tensor]
    noise: list[Tensor]

    def gradient(self, points: Iterable[Tensor], k: int) -> list[Tensor]:
        """The gradients at these points, at step k."""
        parts = zip(points, self.center, self.curvature, self.noise, strict=True)
        return [h * (point.detach() - c) + noise[k] for point, c, h, noise in parts]


def problem(
    shapes: Sequence[Shape], dtype: torch.dtype = torch.float64, seed: int = 0, steps: int = STEPS
) -> Problem:
    """The problem for parameters of these shapes."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*lead: int) -> list[Tensor]:
        made = [
            torch.randn((*lead, *shape), generator=generator, dtype=torch.float64)
            for shape in shapes
        ]
        return [tensor.to(dtype) for tensor in made]

    start, center, spread, noise = draw(), draw(), draw(), draw(steps)
    return Problem(start, center, [0.1 + 0.9 * s.sigmoid() for s in spread], noise)


def defaults(rule: Rule) -> dict[str, Tensor]:
    """The rule's hyperparameters as engines give them to it: 0-D, float64."""
    return eager.hyper_tensors(rule.defaults)


def accepts(rule: Rule, shape: Shape) -> bool:
    """Whether the rule takes parameters of this shape: Muon refuses vectors."""
    try:
        rule.init(torch.empty(shape, device="meta"))
    except InputError:
        return False
    return True


def seen(rule: Rule, shape: Shape) -> Shape:
    """The shape in which the rule sees a single parameter of this shape."""
    return (math.prod(shape),) if rule.granularity == "tensor" else shape or (1,)


def several_shapes(rule: Rule, shape: Shape) -> list[torch.Size]:
    """Parameters of a small model: two of one shape, a vector, a scalar, and one turned around."""
    shapes: list[Shape] = [shape, (5,), shape, (), shape[::-1], (3,)]
    return [torch.Size(s) for s in shapes if accepts(rule, s or (1,))]


def copied(state: State) -> State:
    """A state in memory of its own."""
    return {name: entry.clone() for name, entry in state.items()}


def steps_of(
    rule: Rule, shape: Shape, dtype: torch.dtype = torch.float64, steps: int = STEPS, seed: int = 0
) -> Iterator[tuple[Update, Tensor, Tensor, State, Hyper]]:
    """What the update of every step is given, for a parameter that the rule sees in this shape.

    All of it is copied, so that nothing an update does to its inputs is seen later.

    Yields:
        (update, param, grad, state, hyper), totals among the hyperparameters.
    """
    trial, hyper = problem([shape], dtype, seed, steps), defaults(rule)
    (param,) = trial.start
    state = rule.init(param.clone())
    for k in range(steps):
        (grad,) = trial.gradient([rule.probe(param, state, hyper)], k)
        known = eager.with_totals(rule, [param], [grad], [state], hyper)
        update = rule.update_for(state)
        yield update, param.clone(), grad.clone(), copied(state), dict(known)
        param, state = update(param.clone(), grad.clone(), copied(state), known)


def walk(rule: Rule, shapes: Sequence[Shape], hyper: Hyper) -> Path:
    """θ and the weights to evaluate after every step, by the rule's functions alone."""
    trial, path = problem(shapes), []
    params = trial.start
    states = [rule.init(param.clone()) for param in params]
    for k in range(STEPS):
        points = [rule.probe(p, s, hyper) for p, s in zip(params, states, strict=True)]
        grads = trial.gradient(points, k)
        known = eager.with_totals(rule, params, grads, states, hyper)
        update = rule.update_for(states[0])
        after = [
            update(p.clone(), g, copied(s), known)
            for p, g, s in zip(params, grads, states, strict=True)
        ]
        params, states = [p for p, _ in after], [s for _, s in after]
        outputs = [rule.output(p, s, hyper) for p, s in after]
        path.append([*params, *outputs])
    return path


def walk_engine(make: Make, rule: Rule, shapes: Sequence[Shape], hyper: Hyper) -> Path:
    """The parameters after every step of an engine; the rule has no probe."""
    trial = problem(shapes)
    params = [torch.nn.Parameter(start.clone()) for start in trial.start]
    engine = make(rule, defaultdict(dict))
    path = []
    for k in range(STEPS):
        take(engine, params, trial.gradient(params, k), hyper)
        path.append([param.detach().clone() for param in params])
    return path


def take(engine: Any, params: Sequence[Tensor], grads: Sequence[Tensor], hyper: Hyper) -> None:
    """One step of an engine, totals first."""
    known = dict(hyper)
    engine.arrange(params)
    for name in engine.rule.totals:
        known[name] = engine.total(name, grads, known)
    engine.step(grads, known)


def walk_optimizer(
    optimizer: Optimizer, params: Sequence[Tensor], trial: Problem, steps: Iterable[int]
) -> Path:
    """The parameters after each of these steps of an optimizer."""
    path = []
    for k in steps:
        for param, grad in zip(params, trial.gradient(params, k), strict=True):
            param.grad = grad
        optimizer.step()
        path.append([param.detach().clone() for param in params])
    return path


def difference(path: Path, reference: Path) -> float:
    """The largest difference at any step, over the largest number of the reference.

    Infinite where the path is not finite.
    """
    pairs = [
        (a, b)
        for step, other in zip(path, reference, strict=True)
        for a, b in zip(step, other, strict=True)
        if a.numel()
    ]
    largest = max((float(b.abs().max()) for _, b in pairs), default=1.0)
    worst = max((float((a - b).abs().nan_to_num(math.inf).max()) for a, b in pairs), default=0.0)
    return worst / (largest or 1.0)
