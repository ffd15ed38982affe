"""Promises about a rule's functions alone; no engine runs them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ravine.engines.graphs.compiling import trace
from ravine.errors import said
from ravine.rules import Hyper, Rule, State
from ravine.rules._rule import Update
from ravine.testing._failures import broken, place_of
from ravine.testing._walks import (
    STEPS,
    Shape,
    accepts,
    defaults,
    difference,
    problem,
    seen,
    steps_of,
    walk,
)

DTYPES = (torch.float64, torch.float32, torch.bfloat16)

FEW = 8
"""Functions that a rule may choose among; each is compiled by itself."""

Array = NDArray[np.float64]
Reference = Callable[..., Array]
"""(theta, gradient, steps, **hyper) -> θ after every step, [steps, *shape]; gradient(theta, k)."""


def check_reference(
    rule: Rule, reference: Reference, shape: Shape = (4, 3), tolerance: float = 1e-12
) -> None:
    """The rule walks the path of a plain NumPy loop.

    Args:
        rule: the rule.
        reference: (theta, gradient, steps, **hyper) -> θ after every step, [steps, *shape], where
            gradient(theta, k) is the gradient at `theta` in step k, counted from 0.
        shape: of θ; a tensor rule's is laid out flat.
        tolerance: the largest difference, over the largest number.

    Raises:
        ConformanceError: it does not.
    """
    trial, shape = problem([seen(rule, shape)]), seen(rule, shape)

    def gradient(theta: Array, k: int) -> Array:
        return np.asarray(trial.gradient([torch.as_tensor(theta)], k)[0].numpy())

    theirs = reference(trial.start[0].numpy().copy(), gradient, STEPS, **rule.defaults)
    path = [[torch.as_tensor(point)] for point in theirs]
    ours = [points[:1] for points in walk(rule, [shape], defaults(rule))]
    for k in range(STEPS):
        error = difference(ours[: k + 1], path[: k + 1])
        if error > tolerance:
            raise broken(
                "reference",
                f"θ is {error:.1e} of its size away from the reference after step {k + 1}",
                f"at most {tolerance:.0e}, over {STEPS} steps",
                _advice_for(k, rule),
            )


def check_state(rule: Rule, shape: Shape = (4, 3)) -> None:
    """The state has the entries that engines expect, from `init` on.

    Shaped like the parameter, or 0-D; of any shape for a matrix rule. Each keeps its name and its
    shape. A 0-D entry is a count: the same whatever the gradient. `init` sees shapes only.

    Raises:
        ConformanceError: it has not.
    """
    shape = seen(rule, shape)
    first = rule.init(torch.ones(shape, dtype=torch.float64))
    _check_init_without_values(rule, shape, first)
    for name, entry in first.items():
        if rule.granularity != "matrix" and entry.shape not in (shape, ()):
            raise broken(
                "state",
                f"the entry {name!r} is of shape {list(entry.shape)}, for a parameter of "
                f"{list(shape)}",
                f"the parameter's shape or 0-D, in a rule of granularity {rule.granularity!r}",
                'torch.zeros_like(param) in init, or granularity="matrix".',
            )
    for _, _, _, state, _ in steps_of(rule, shape):
        _check_entries_kept(first, state)
    _check_counts(rule, shape)


def check_dtypes(rule: Rule, shape: Shape = (4, 3)) -> None:
    """Dtypes and shapes are kept, and numbers finite, in float64, float32 and bfloat16.

    Of the parameter, the probe, the output and every entry of the state, for parameters of this
    shape, vectors, scalars and empty ones, where the rule takes them. A 0-D entry has at least
    float32.

    Raises:
        ConformanceError: one is not.
    """
    for s in dict.fromkeys([shape, (math.prod(shape),), (), (0, *shape[1:])]):
        if accepts(rule, s or (1,)):
            for dtype in DTYPES:
                _check_dtypes_of(rule, s or (1,), dtype)


def check_purity(rule: Rule, shape: Shape = (4, 3)) -> None:
    """`update` changes nothing that it is given, keeps none of it in another place, and repeats itself.

    An entry that stays as it is may be returned itself.

    Raises:
        ConformanceError: it does not.
    """
    shape = seen(rule, shape)
    _check_init_is_new(rule, shape)
    for update, param, grad, state, hyper in steps_of(rule, shape):
        inputs = {"param": param, "grad": grad, **state, **hyper}
        before = {name: value.clone() for name, value in inputs.items()}
        new_param, new_state = update(param, grad, state, hyper)
        for name, value in inputs.items():
            if not _equal(value, before[name]):
                raise broken(
                    "purity",
                    f"the update wrote into {name!r}, which it was given",
                    "inputs that stay as they are",
                    "write out of place: x = x * y, not x.mul_(y) or x *= y.",
                )
        _check_not_kept({"param": new_param, **new_state}, inputs)
        again_param, again_state = update(param, grad, state, hyper)
        again = {"param": again_param, **again_state}
        for name, value in {"param": new_param, **new_state}.items():
            if not _equal(value, again[name]):
                raise broken(
                    "purity",
                    f"two calls with the same inputs gave two values of {name!r}",
                    "the same result: an update is a function of its inputs",
                    "keep what changes from step to step in the state, and draw no random numbers.",
                )


def check_graph(rule: Rule, shape: Shape = (4, 3)) -> None:
    """Every update is one graph: it looks at no value of a tensor on its way.

    Raises:
        ConformanceError: it does.
    """
    traced = set()
    for update, *inputs in steps_of(rule, seen(rule, shape)):
        if update in traced:
            continue
        traced.add(update)
        try:
            trace(update, tuple(inputs), "fake")
        except Exception as error:
            raise broken(
                "graph",
                f"the update cannot be traced: {said(error)}, {place_of(error)}",
                "operators on tensors alone; hyperparameters are tensors, too",
                'use hyper["lr"] itself, not float(hyper["lr"]); torch.where in place of `if`; '
                "and no tensors from outside the update.",
            ) from error


def check_choice(rule: Rule, shape: Shape = (4, 3)) -> None:
    """A rule that chooses does so among a few fixed functions, by the 0-D entries of the state alone.

    Raises:
        ConformanceError: it does not.
    """
    if rule.choose is None:
        return
    chosen: set[Update] = set()
    for update, _, _, state, _ in steps_of(rule, seen(rule, shape), steps=2 * STEPS):
        chosen.add(update)
        counts = {name: entry for name, entry in state.items() if entry.ndim == 0}
        if rule.update_for(counts) is not update or len(chosen) > FEW:
            raise broken(
                "choice",
                "choose gave a new function for a state that it had seen"
                if len(chosen) <= FEW
                else f"choose gave more than {FEW} functions in {2 * STEPS} steps",
                "one of a few functions that are made once, by counts: each is compiled by itself",
                "make the functions where the rule is made, and return one of them.",
            )


def check_settings(rule: Rule, shape: Shape = (4, 3), idle: Collection[str] = ()) -> None:
    """Every hyperparameter is read from `hyper`: to change it there changes the path.

    Args:
        rule: the rule.
        shape: of the parameter, beside which a vector is stepped.
        idle: names of hyperparameters that do nothing at the defaults.

    Raises:
        ConformanceError: one is not.
    """
    shapes = [s for s in (seen(rule, shape), (5,)) if accepts(rule, s)]
    hyper = defaults(rule)
    path = walk(rule, shapes, hyper)
    for name, value in hyper.items():
        if name in idle:
            continue
        others = (walk(rule, shapes, {**hyper, name: other}) for other in _others(value))
        if all(_equal_paths(path, other) for other in others):
            raise broken(
                "settings",
                f"no other value of {name!r} changed the path from that at {float(value):g}",
                "every name in `defaults` is read from `hyper`",
                f'write hyper["{name}"] in the update, not the argument of the constructor; or '
                f'pass idle=["{name}"] if it does nothing in {STEPS} steps at these defaults.',
            )


def check_probe(rule: Rule, shape: Shape = (4, 3)) -> None:
    """Before the first step the probe is the parameter.

    Raises:
        ConformanceError: it is not.
    """
    (param,) = problem([seen(rule, shape)]).start
    probe = rule.probe(param.clone(), rule.init(param.clone()), defaults(rule))
    error = difference([[probe]], [[param]])
    if error > 1e-12:
        raise broken(
            "probe",
            f"before the first step the probe is {error:.1e} of θ's size away from θ",
            "θ itself: the first gradient of every model is taken there",
            "let init begin with what makes them equal, such as a velocity of zero.",
        )


def _advice_for(step: int, rule: Rule) -> str:
    if step == 0:
        return "the first step: look at signs, at the order of operations, at where ε stands."
    if rule.init(torch.ones(1, 1)):
        return "the first step agrees: look at what the state keeps, and at the count of steps."
    return "the first step agrees and the rule keeps no state: does the reference keep one?"


def _check_init_without_values(rule: Rule, shape: Shape, first: State) -> None:
    try:
        outline = rule.init(torch.empty(shape, dtype=torch.float64, device="meta"))
    except Exception as error:
        raise broken(
            "state",
            f"init cannot be called on a tensor without memory: {said(error)}, {place_of(error)}",
            "names, shapes and dtypes that depend on the parameter's shape and dtype alone",
            "torch.zeros_like(param), and no look at values, in init.",
        ) from error
    if outline.keys() != first.keys():
        raise broken(
            "state",
            f"init gave {_listed(first)} for ones and {_listed(outline)} for a tensor without memory",
            "the same entries for all parameters of a shape",
            "decide by param.shape in init, not by values.",
        )


def _check_entries_kept(first: State, state: State) -> None:
    if state.keys() != first.keys():
        raise broken(
            "state",
            f"the update returned the entries {_listed(state)}",
            f"those of init: {_listed(first)}",
            "return every entry, changed or not.",
        )
    for name, entry in state.items():
        if entry.shape != first[name].shape:
            raise broken(
                "state",
                f"the entry {name!r} went from {list(first[name].shape)} to {list(entry.shape)}",
                "entries that keep their shape",
                "sum over an axis with keepdim=True, or let init make it the other way.",
            )


def _check_counts(rule: Rule, shape: Shape) -> None:
    """Two walks on other gradients have the same 0-D entries."""
    walks = (steps_of(rule, shape, seed=seed) for seed in (0, 1))
    for (_, _, _, state, _), (_, _, _, other, _) in zip(*walks, strict=True):
        for name, entry in state.items():
            if entry.ndim == 0 and not _equal(entry, other[name]):
                raise broken(
                    "state",
                    f"the 0-D entry {name!r} was {float(entry):g} or {float(other[name]):g}, "
                    "depending on the gradients",
                    "0-D entries that count: the same for all parameters after as many steps",
                    "keep it in the parameter's shape, or sum over all parameters in `totals`.",
                )


def _check_dtypes_of(rule: Rule, shape: Shape, dtype: torch.dtype) -> None:
    first = None
    for _, param, _, state, hyper in steps_of(rule, shape, dtype, steps=STEPS // 2):
        first = first or state
        points = {
            "the parameter": param,
            "the probe": rule.probe(param, state, hyper),
            "the output": rule.output(param, state, hyper),
        }
        for name, point in points.items():
            _check_like(name, point, dtype, shape)
            _check_finite(name, point)
        for name, entry in state.items():
            _check_like(f"the entry {name!r}", entry, first[name].dtype, first[name].shape)
            narrow = entry.ndim == 0 and entry.is_floating_point() and entry.itemsize < 4
            if narrow:
                raise broken(
                    "dtypes",
                    f"the 0-D entry {name!r} is {entry.dtype} for a parameter of {dtype}",
                    "at least float32: bfloat16 stops counting at 256",
                    "torch.zeros((), dtype=torch.float32, device=param.device) in init.",
                )


def _check_like(name: str, tensor: Tensor, dtype: torch.dtype, shape: Shape) -> None:
    if tensor.dtype != dtype:
        raise broken(
            "dtypes",
            f"{name} of shape {list(shape)} went from {dtype} to {tensor.dtype}",
            "dtypes that are kept",
            "make new tensors by torch.zeros_like(param) or param.new_zeros, and cast back by "
            ".to(param.dtype) what was computed in more digits.",
        )
    if tensor.shape != torch.Size(shape):
        raise broken(
            "dtypes",
            f"{name} went from shape {list(shape)} to {list(tensor.shape)}",
            "shapes that are kept",
            "look for a reduction without keepdim=True, or a broadcast.",
        )


def _check_finite(name: str, point: Tensor) -> None:
    if not point.isfinite().all():
        raise broken(
            "dtypes",
            f"{name} of {point.dtype} is not finite after a few steps on a parabola",
            "finite numbers in every dtype",
            "look for a division by what rounds to 0, and for an ε that does: bfloat16 has 8 digits.",
        )


def _check_init_is_new(rule: Rule, shape: Shape) -> None:
    (param,) = problem([shape]).start
    state = rule.init(param)
    entries = [*state.items(), ("param", param)]
    for (name, entry), (other, before) in combinations(entries, 2):
        if _memory(entry) == _memory(before):
            raise broken(
                "purity",
                f"init gave {name!r} the memory of {other!r}",
                "entries in memory of their own: engines write into each",
                "param.clone(), or torch.zeros_like(param) for each entry.",
            )
    for name, entry in rule.init(param).items():
        if not _equal(entry, state[name]):
            raise broken(
                "purity",
                f"init gave two values of {name!r} for the same parameter",
                "the same result: init is a function of the parameter",
                "draw no random numbers, and keep nothing outside the state.",
            )


def _check_not_kept(outputs: State, inputs: State) -> None:
    """An output in the memory of an input is a surprise, once an engine writes in place."""
    for name, value in outputs.items():
        for other, given in inputs.items():
            if value is not inputs.get(name) and value.numel() and _memory(value) == _memory(given):
                raise broken(
                    "purity",
                    f"the update returned the memory of {other!r} as {name!r}",
                    "new tensors: an engine writes the new parameter before the new state",
                    f"{name} = {other}.clone()",
                )


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _equal(a: Tensor, b: Tensor) -> bool:
    """Equal, NaN to NaN."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


def _equal_paths(path: list[list[Tensor]], other: list[list[Tensor]]) -> bool:
    pairs = zip(path, other, strict=True)
    return all(_equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


def _others(value: Tensor) -> list[Tensor]:
    """Values near and far: a decay of an average of signs needs far ones, a count whole ones."""
    return [value * 0.9, value * 0.5, value * 1000, value + 0.1, value + 5]


def _listed(state: State | Hyper) -> str:
    return ", ".join(state) or "none"
