"""Steps of several parameters with totals and chosen updates, and small rules of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ravine.rules import Hyper, Rule, State
from ravine.rules._parts import norm, zeros, zeros_and_step
from ravine.rules._rule import Update
from tests.cases import CASES, Ravine, hyper_of
from tests.references import Array

ELEMENTWISE = [
    case for case in CASES if case.rule.granularity == "elementwise" and case.shape == (8,)
]
"""The rules whose path does not depend on how θ is cut into parameters."""

SHAPES = ((2, 2), (1, 3), (1,))
"""How the walks here cut the eight elements of θ into parameters."""

Gradient = Callable[[Array, int], Array]


def cut(theta: Array) -> list[Array]:
    """The parameters, in their shapes."""
    sizes = [int(np.prod(shape)) for shape in SHAPES]
    pieces = np.split(theta, np.cumsum(sizes)[:-1])
    return [piece.reshape(shape) for piece, shape in zip(pieces, SHAPES, strict=True)]


def join(parts: Sequence[Array] | Sequence[Tensor]) -> Array:
    """The parameters laid out flat, one after the other."""
    return np.concatenate([np.asarray(part).reshape(-1) for part in parts])


def take(
    rule: Rule,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[State],
    hyper: Hyper,
) -> tuple[list[Tensor], list[State]]:
    """One step of all parameters. Totals are summed up in their order; each sees those before it."""
    seen = dict(hyper)
    inputs = list(zip(params, grads, states, strict=True))
    for name, summand in rule.totals.items():
        sums = [summand(param, grad, state, seen).sum() for param, grad, state in inputs]
        seen[name] = torch.stack(sums).sum()
    update = rule.update_for(states[0])
    after = [update(param, grad, state, seen) for param, grad, state in inputs]
    return [param for param, _ in after], [state for _, state in after]


def walk_parts(rule: Rule, gradient: Gradient, steps: int) -> tuple[Array, Array]:
    """θ and the rule's output after every call, each [steps, n], from `Ravine`'s start."""
    hyper = hyper_of(rule)
    params = [_shown(rule, torch.from_numpy(part.copy())) for part in cut(Ravine().start)]
    states = [rule.init(param) for param in params]
    path, outputs = [], []
    for k in range(steps):
        points = [rule.probe(p, s, hyper) for p, s in zip(params, states, strict=True)]
        grads = cut(gradient(join(points), k))
        tensors = [_shown(rule, torch.from_numpy(grad)) for grad in grads]
        params, states = take(rule, params, tensors, states, hyper)
        path.append(join(params))
        outputs.append(
            join([rule.output(p, s, hyper) for p, s in zip(params, states, strict=True)])
        )
    return np.array(path), np.array(outputs)


def _shown(rule: Rule, tensor: Tensor) -> Tensor:
    """As an engine shows it: matrix rules see shapes, the others see them laid out flat."""
    return tensor if rule.granularity == "matrix" else tensor.flatten()


def normalized(lr: float = 0.1, momentum: float = 0.5) -> Rule:
    """A tensor rule: steps of one length, averaged; b ← μb + g/(‖g‖ + 1), θ ← θ - εb."""

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        b = hyper["momentum"] * state["buffer"] + grad / (norm(grad) + 1)
        return param - hyper["lr"] * b, {"buffer": b, "step": state["step"] + 1}

    return Rule(
        name="normalized",
        title="Normalized",
        defaults={"lr": lr, "momentum": momentum},
        init=zeros_and_step("buffer"),
        update=update,
        source="here",
        granularity="tensor",
    )


def centered(lr: float = 0.1) -> Rule:
    """A matrix rule: each row of the gradient (or the vector) without its mean."""

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        v = state["velocity"] + grad - grad.mean(dim=-1, keepdim=True)
        return param - hyper["lr"] * v, {"velocity": v}

    return Rule(
        name="centered",
        title="Centered",
        defaults={"lr": lr},
        init=zeros("velocity"),
        update=update,
        source="here",
        granularity="matrix",
    )


def renewing(lr: float = 0.1, every: int = 3) -> Rule:
    """A rule that chooses: its scale r = g⊙g is renewed at every third step; θ ← θ - εg/(√r+1)."""

    def step(renew: bool) -> Update:
        def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
            r = grad * grad if renew else state["scale"] + 0
            new = {"scale": r, "step": state["step"] + 1}
            return param - hyper["lr"] * grad / (r.sqrt() + 1), new

        return update

    renewed, kept = step(True), step(False)
    return Rule(
        name="renewing",
        title="Renewing",
        defaults={"lr": lr},
        init=zeros_and_step("scale"),
        update=renewed,
        source="here",
        choose=lambda state: renewed if int(state["step"]) % every == 0 else kept,
    )


def shared(lr: float = 0.1) -> Rule:
    """A rule with a total: θ ← θ - εg / √(1 + Σθg + Σg²), the sums over all parameters."""

    def summand(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
        return grad * grad + 0.01 * param * param

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        return param - hyper["lr"] * grad / (1 + hyper["energy"]).sqrt(), {}

    return Rule(
        name="shared",
        title="Shared",
        defaults={"lr": lr},
        init=lambda param: {},
        update=update,
        source="here",
        totals={"energy": summand},
    )


def shared_reference(theta: Array, gradient: Gradient, steps: int, *, lr: float) -> Array:
    """`shared` in NumPy."""
    path = []
    for k in range(steps):
        g = gradient(theta, k)
        theta = theta - lr * g / np.sqrt(1 + np.sum(g * g + 0.01 * theta * theta))
        path.append(theta)
    return np.array(path)


def renewing_reference(theta: Array, gradient: Gradient, steps: int, *, lr: float) -> Array:
    """`renewing` in NumPy."""
    path, r = [], np.zeros_like(theta)
    for k in range(steps):
        g = gradient(theta, k)
        r = g * g if k % 3 == 0 else r
        theta = theta - lr * g / (np.sqrt(r) + 1)
        path.append(theta)
    return np.array(path)


def normalized_reference(
    theta: Array, gradient: Gradient, steps: int, *, lr: float, momentum: float
) -> Array:
    """`normalized` in NumPy."""
    path, b = [], [np.zeros_like(part) for part in cut(theta)]
    for k in range(steps):
        g = cut(gradient(theta, k))
        b = [
            momentum * old + new / (np.linalg.norm(new) + 1) for old, new in zip(b, g, strict=True)
        ]
        theta = theta - lr * join(b)
        path.append(theta)
    return np.array(path)


def centered_reference(theta: Array, gradient: Gradient, steps: int, *, lr: float) -> Array:
    """`centered` in NumPy."""
    path, v = [], np.zeros_like(theta)
    for k in range(steps):
        g = cut(gradient(theta, k))
        v = v + join([part - part.mean(axis=-1, keepdims=True) for part in g])
        theta = theta - lr * v
        path.append(theta)
    return np.array(path)


OWN = {
    "normalized": (normalized(), normalized_reference),
    "centered": (centered(), centered_reference),
    "renewing": (renewing(), renewing_reference),
    "shared": (shared(), shared_reference),
}
"""One rule of every kind, with its reference: tensor, matrix, choosing, with totals."""

RUNS = {
    **{case.label: (case.rule, case.reference, case.all_settings) for case in ELEMENTWISE},
    **{name: (rule, loop, dict(rule.defaults)) for name, (rule, loop) in OWN.items()},
}
"""Every rule that the transforms are tried on: the rule, its loop in NumPy, the loop's settings."""
