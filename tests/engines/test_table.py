"""Every rule walks one path in every engine: eager, blocks as they are, blocks compiled, population."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ravine import rules
from ravine.engines import eager
from ravine.engines.block.engine import BlockEngine
from ravine.engines.eager import EagerEngine
from ravine.engines.native.engine import NativeEngine
from ravine.engines.population import Kernels, PopulationEngine
from ravine.rules import Rule
from ravine.transforms import accumulate, at_probe, chain, clip_adaptive, clip_norm, decoupled

STEPS = 50
SHAPES = [torch.Size(shape) for shape in ((4, 3), (5,), (4, 3), (3,), (2, 3, 2), (1,), (3, 4))]
"""No axis is longer by more than one than all others together: SOAP's first bases are then unique."""

Paths = list[list[Tensor]]

CHAINS = {
    "clipped adamw": chain(clip_norm(0.5), rules.adam(), decoupled(0.1)),
    "accumulated nesterov": chain(accumulate(3), rules.nesterov(lr=0.1)),
    "adaptively clipped lamb": chain(clip_adaptive(0.05), rules.lamb(lr=0.1)),
}
RULES = {**{name: rules.get(name) for name in rules.REGISTRY}, **CHAINS}


class Problem:
    """Gradients of full rank for parameters of several shapes: those of ½‖θ - c‖² and noise."""

    def __init__(self, dtype: torch.dtype, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*lead: int) -> list[Tensor]:
            made = [
                torch.randn(*lead, *s, generator=generator, dtype=torch.float64) for s in SHAPES
            ]
            return [tensor.to(dtype) for tensor in made]

        self.start, self.centers, self.noise = draw(), draw(), draw(STEPS)

    def gradients(self, params: Sequence[Tensor], step: int) -> list[Tensor]:
        parts = zip(params, self.centers, self.noise, strict=True)
        return [(param.detach() - center + noise[step]) for param, center, noise in parts]


def walk_engine(make: Callable[[Rule, Any], Any]) -> Callable[[Rule, Problem], Paths]:
    """θ's place after every step, by an engine over a store of states."""

    def walk(rule: Rule, problem: Problem) -> Paths:
        rule = at_probe(rule)
        params = [torch.nn.Parameter(start.clone()) for start in problem.start]
        engine = make(rule, defaultdict(dict))
        hyper = eager.hyper_tensors(rule.defaults)
        path = []
        for step in range(STEPS):
            grads = problem.gradients(params, step)
            known = dict(hyper)
            engine.arrange(params)
            for name in rule.totals:
                known[name] = engine.total(name, grads, known)
            engine.step(grads, known)
            path.append([param.detach().clone() for param in params])
        return path

    return walk


def walk_population(compiled: bool) -> Callable[[Rule, Problem], Paths]:
    """The same, as the second of three members; the others have other starts and rates."""

    def walk(rule: Rule, problem: Problem) -> Paths:
        flat = torch.cat([start.reshape(-1) for start in problem.start])
        weights = torch.stack([flat + 1, flat, -flat])
        hyper = [{**rule.defaults, "lr": rule.defaults["lr"] * f} for f in (0.5, 1.0, 0.1)]
        engine = PopulationEngine(rule, hyper, weights, SHAPES)
        kernels = Kernels() if compiled else None
        path = []
        for step in range(STEPS):
            grads = torch.stack(
                [
                    torch.cat([g.reshape(-1) for g in problem.gradients(_cut(row), step)])
                    for row in weights
                ]
            )
            engine.step(grads, kernels)
            path.append([param.clone() for param in _cut(weights[1])])
        return path

    return walk


def _cut(flat: Tensor) -> list[Tensor]:
    pieces = torch.split(flat, [shape.numel() for shape in SHAPES])
    return [piece.view(shape) for piece, shape in zip(pieces, SHAPES, strict=True)]


def blocks(compiled: bool) -> Callable[[Rule, Any], BlockEngine]:
    return lambda rule, store: BlockEngine(rule, store, compiled=compiled)


eagerly = walk_engine(EagerEngine)


def native(rule: Rule, problem: Problem) -> Paths:
    """Elementwise rules whose steps are all alike must be within what is written in C++."""
    if rule.granularity != "elementwise" or rule.choose is not None:
        pytest.skip("only for one elementwise function; other rules are refused")
    return walk_engine(NativeEngine)(rule, problem)


ENGINES = {
    "native": native,
    "blocks": walk_engine(blocks(False)),
    "compiled blocks": walk_engine(blocks(True)),
    "population": walk_population(False),
    "compiled population": walk_population(True),
}


def difference(path: Paths, reference: Paths) -> float:
    """The largest difference at any step, relative to the largest number."""
    largest = max(float(param.abs().max()) for param in reference[-1])
    return max(
        float((a - b).abs().max()) / largest
        for step, other in zip(path, reference, strict=True)
        for a, b in zip(step, other, strict=True)
    )


@pytest.mark.parametrize("engine", sorted(ENGINES.keys() - {"compiled blocks"}))
@pytest.mark.parametrize("name", RULES)
def test_one_path_in_float64(name: str, engine: str) -> None:
    problem = Problem(torch.float64)
    reference = eagerly(RULES[name], problem)
    assert difference([reference[0]], [problem.start]) > 0 or name in (
        "soap",
        "accumulated nesterov",
    )
    assert difference(ENGINES[engine](RULES[name], problem), reference) <= 1e-10


@pytest.mark.parametrize("engine", ["compiled blocks", "native"])
@pytest.mark.parametrize("name", RULES)
def test_compiled_float32_is_eager_float32(name: str, engine: str) -> None:
    """Each compiled engine in one precision: compiling all rules takes a minute and a half."""
    problem = Problem(torch.float32)
    reference = eagerly(RULES[name], problem)
    assert difference(ENGINES[engine](RULES[name], problem), reference) <= 1e-5
