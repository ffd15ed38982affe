"""Promises that a rule keeps in engines: one path in all of them, from any checkpoint."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ravine.engines import eager
from ravine.engines.block.engine import BlockEngine
from ravine.engines.eager import EagerEngine
from ravine.engines.population import PopulationEngine
from ravine.optim._any import Optimizer
from ravine.rules import Hyper, Rule, State
from ravine.testing._failures import broken
from ravine.testing._walks import (
    STEPS,
    Path,
    Problem,
    Shape,
    defaults,
    difference,
    problem,
    several_shapes,
    take,
    walk_engine,
    walk_optimizer,
)
from ravine.transforms import accumulate, at_probe

TOLERANCE = 1e-10
"""Between engines, in float64: they round in another order."""

PIECES = 3
CHANGES = 20


def check_totals(rule: Rule, shape: Shape = (4, 3)) -> None:
    """Sums over all parameters do not depend on how engines put parameters together.

    Raises:
        ConformanceError: one does.
    """
    rule = at_probe(rule)
    shapes = several_shapes(rule, shape)
    trial, hyper = problem(shapes), defaults(rule)
    for name in rule.totals:
        _check_terms(rule, name, trial, hyper)
        sums = []
        for engine in (EagerEngine(rule, {}), BlockEngine(rule, {}, compiled=False)):
            params = [torch.nn.Parameter(start.clone()) for start in trial.start]
            grads = trial.gradient(params, 0)
            engine.arrange(params)
            sums.append(engine.total(name, grads, hyper))
        error = difference([[sums[1]]], [[sums[0]]])
        if not error <= TOLERANCE:
            raise broken(
                "totals",
                f"the total {name!r} is {float(sums[0]):.6g} summed parameter by parameter, and "
                f"{float(sums[1]):.6g} over all of them at once",
                "terms of the parameter's shape whose plain sum is meant",
                "give terms, such as grad.square(), and no means or norms; take roots in the update.",
            )
        hyper = {**hyper, name: sums[0]}


def check_granularity(rule: Rule, shape: Shape = (4, 3)) -> None:
    """An update looks at no more than the rule's granularity says.

    An elementwise rule steps many parameters laid end to end as it steps each; a tensor rule rows of
    parameters; a matrix rule stacked ones, by torch.vmap.

    Raises:
        ConformanceError: it does.
    """
    rule = at_probe(rule)
    shapes, hyper = several_shapes(rule, shape), defaults(rule)
    alone = walk_engine(EagerEngine, rule, shapes, hyper)
    together = walk_engine(_blocks, rule, shapes, hyper)
    error = difference(together, alone)
    if error > TOLERANCE:
        raise broken(
            "granularity",
            f"parameters that are stepped together end {error:.1e} of their size away from where "
            "each ends alone",
            f'granularity "{rule.granularity}": {_PROMISED[rule.granularity]}',
            _COARSER[rule.granularity],
        )


def check_compiled(rule: Rule, shape: Shape = (4, 3)) -> None:
    """The compiled engine walks the eager engine's path, in float64.

    Raises:
        ConformanceError: it does not.
    """
    if not _can_compile(rule, "compiled"):
        return
    shapes = several_shapes(rule, shape)
    eagerly, compiled = (_walk(rule, shapes, engine) for engine in ("eager", "compiled"))
    error = difference(compiled, eagerly)
    if error > TOLERANCE:
        raise broken(
            "compiled",
            f"the compiled engine is {error:.1e} of θ's size away from the eager one",
            f"at most {TOLERANCE:.0e}",
            "look for a step that magnifies rounding, such as a small difference of large numbers.",
        )


def check_recompilation(rule: Rule, shape: Shape = (4, 3)) -> None:
    """Nothing is compiled again when hyperparameters change.

    Raises:
        ConformanceError: it is.
    """
    if not _can_compile(rule, "recompilation"):
        return
    trial = problem(several_shapes(rule, shape), steps=STEPS + CHANGES)
    params, optimizer = _optimizer(rule, trial, "compiled")
    walk_optimizer(optimizer, params, trial, range(STEPS))  # every update is compiled now
    (group,) = optimizer.param_groups
    for k in range(STEPS, STEPS + CHANGES):
        before = _compilations()
        for name, value in rule.defaults.items():
            group[name] = value * 0.99 ** (k - STEPS + 1)
        walk_optimizer(optimizer, params, trial, [k])
        if made := {key: n - before.get(key, 0) for key, n in _compilations().items()}:
            made = {key: n for key, n in made.items() if n}
        if made:
            raise broken(
                "recompilation",
                f"step {k + 1}, with other hyperparameters than step {k}, compiled anew "
                f"({', '.join(f'{key}: {n}' for key, n in made.items())})",
                f"no compilation in {CHANGES} changes of all of them",
                "choose among updates by counts of steps, not by what depends on a hyperparameter.",
            )


def check_population(rule: Rule, shape: Shape = (4, 3)) -> None:
    """Members of a population walk the paths that each walks alone, under hyperparameters of its own.

    Raises:
        ConformanceError: one does not.
    """
    rule = at_probe(rule)
    shapes = several_shapes(rule, shape)
    members = [
        {name: value * (1 - 0.05 * member) for name, value in rule.defaults.items()}
        for member in range(3)
    ]
    together = _walk_population(rule, shapes, members)
    for index, settings in enumerate(members):
        alone = walk_engine(EagerEngine, rule, shapes, eager.hyper_tensors(settings))
        path = [[_flat(step)] for step in alone]
        error = difference([[weights[index]] for weights in together], path)
        if error > TOLERANCE:
            raise broken(
                "population",
                f"member {index} of 3 is {error:.1e} of its size away from where it goes alone",
                "[members, n] parameters with [members, 1] hyperparameters go row by row",
                "let hyperparameters broadcast: no reshape, indexing or flatten of them, and no "
                "sum over all elements, but over the last axis, dim=-1, keepdim=True.",
            )


def check_accumulation(rule: Rule, shape: Shape = (4, 3)) -> None:
    """Steps on the mean of gradients that come piece by piece are steps on the mean.

    Raises:
        ConformanceError: they are not.
    """
    shapes = several_shapes(rule, shape)
    whole = walk_engine(EagerEngine, at_probe(rule), shapes, defaults(rule))
    pieces = _walk_pieces(at_probe(accumulate(PIECES)(rule)), shapes)
    error = difference(pieces, whole)
    if error > TOLERANCE:
        raise broken(
            "accumulation",
            f"{PIECES} equal pieces lead {error:.1e} of θ's size away from where their mean leads",
            f"at most {TOLERANCE:.0e}",
            "let the update depend on nothing but what it is given.",
        )


def check_checkpoint(rule: Rule, shape: Shape = (4, 3)) -> None:
    """A run that is saved and loaded in the middle goes on bit by bit as one that is not.

    Saved in eval mode, as `RuleOptimizer` asks for; by the eager and by the compiled engine.

    Raises:
        ConformanceError: it does not.
    """
    engines = ("eager", "compiled") if _can_compile(rule, "checkpoint") else ("eager",)
    shapes = several_shapes(rule, shape)
    for engine in engines:
        straight = _walk(rule, shapes, engine)[STEPS // 2 :]
        resumed = _walk_resumed(rule, shapes, engine)
        if difference(resumed, straight):
            raise broken(
                "checkpoint",
                f"a run by the {engine} engine that was resumed at step {STEPS // 2} went another "
                "way than one that was not",
                "the same bits",
                "keep all that is remembered in the state.",
            )


_PROMISED = {
    "elementwise": "every element goes by itself",
    "tensor": "each row of [..., n] goes by itself",
    "matrix": "stacked parameters go as each alone",
}

_COARSER = {
    "elementwise": 'reduce over nothing, or declare granularity="tensor" or "matrix"; sums over '
    "all parameters go into `totals`.",
    "tensor": 'reduce over dim=-1 with keepdim=True alone, or declare granularity="matrix".',
    "matrix": "use operators that torch.vmap knows how to stack.",
}


def _check_terms(rule: Rule, name: str, trial: Problem, hyper: Hyper) -> None:
    shape = (3,) if rule.granularity != "matrix" else trial.start[0].shape
    (param,) = problem([shape]).start
    terms = rule.totals[name](param, param, rule.init(param), hyper)
    if terms.shape != param.shape:
        raise broken(
            "totals",
            f"the total {name!r} gave terms of shape {list(terms.shape)} for a parameter of "
            f"{list(param.shape)}",
            "a tensor of the parameter's shape, which engines sum up",
            "return the terms and leave the sum to the engine.",
        )


def _blocks(rule: Rule, store: Any) -> BlockEngine:
    return BlockEngine(rule, store, compiled=False)


def _optimizer(rule: Rule, trial: Problem, engine: str) -> tuple[list[Tensor], Optimizer]:
    params: list[Tensor] = [torch.nn.Parameter(start.clone()) for start in trial.start]
    return params, Optimizer(params, rule, engine=engine)


def _walk(rule: Rule, shapes: list[torch.Size], engine: str) -> Path:
    trial = problem(shapes)
    params, optimizer = _optimizer(rule, trial, engine)
    return walk_optimizer(optimizer, params, trial, range(STEPS))


def _walk_resumed(rule: Rule, shapes: list[torch.Size], engine: str) -> Path:
    """The second half of a walk, by another optimizer than the first."""
    trial = problem(shapes)
    params, optimizer = _optimizer(rule, trial, engine)
    walk_optimizer(optimizer, params, trial, range(STEPS // 2))
    optimizer.eval()
    file = io.BytesIO()
    torch.save([params, optimizer.state_dict()], file)
    file.seek(0)
    saved, checkpoint = torch.load(file, weights_only=True)
    params, optimizer = _optimizer(rule, trial, engine)
    with torch.no_grad():
        for param, value in zip(params, saved, strict=True):
            param.copy_(value)
    optimizer.load_state_dict(checkpoint)
    optimizer.train()
    return walk_optimizer(optimizer, params, trial, range(STEPS // 2, STEPS))


def _walk_pieces(rule: Rule, shapes: list[torch.Size]) -> Path:
    """The parameters after every `PIECES` steps; pieces differ, and their mean is the gradient."""
    trial, hyper = problem(shapes), defaults(rule)
    params = [torch.nn.Parameter(start.clone()) for start in trial.start]
    store: dict[Tensor, State] = {}
    engine, path = EagerEngine(rule, store), []
    for k in range(STEPS):
        grads = trial.gradient(params, k)
        for piece in (0.5, 1.0, 1.5):
            take(engine, params, [piece * grad for grad in grads], hyper)
        path.append([param.detach().clone() for param in params])
    return path


def _walk_population(
    rule: Rule, shapes: list[torch.Size], members: list[dict[str, float]]
) -> list[Tensor]:
    """The weights of all members after every step, [members, n]."""
    trial = problem(shapes)
    weights = torch.stack([_flat(trial.start)] * len(members))
    engine = PopulationEngine(rule, members, weights, shapes)
    path = []
    for k in range(STEPS):
        grads = [_flat(trial.gradient(_cut(row, shapes), k)) for row in weights]
        engine.step(torch.stack(grads))
        path.append(weights.clone())
    return path


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _cut(flat: Tensor, shapes: list[torch.Size]) -> list[Tensor]:
    pieces = torch.split(flat, [shape.numel() for shape in shapes])
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _can_compile(rule: Rule, promise: str) -> bool:
    """Whether there is what compiling needs; says so if there is not."""
    if rule.granularity == "matrix" or _has_compiler():
        return True
    warnings.warn(
        f"no C++ compiler found: what the promise {promise!r} says of compiled steps is not checked. "
        "Install g++ (Debian: apt-get install g++) or set CXX.",
        RuntimeWarning,
        stacklevel=3,
    )
    return False


def _has_compiler() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True


def _compilations() -> Mapping[str, int]:
    """What has been traced and compiled in this process so far, by who counts it."""
    from torch._dynamo.utils import counters
    from torch._inductor import metrics

    from ravine.engines.block import engine as block
    from ravine.engines.native import engine as native

    caches = (block.KERNELS, native.KERNELS)
    counted = {f"{kind}.{name}": n for kind, names in counters.items() for name, n in names.items()}
    own = {
        "kernels": sum(len(kernels) for cache in caches for kernels in cache.values()),
        "inductor": metrics.generated_kernel_count,
    }
    return {**counted, **own}
