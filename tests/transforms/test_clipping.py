"""Gradient clipping around any rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ravine import rules
from ravine.transforms import clip_adaptive, clip_norm, clip_norm_each, clip_value
from ravine.transforms._transform import Transform
from tests.cases import STEPS, TOLERANCE, Ravine, difference, hyper_of
from tests.references import Array
from tests.transforms.walking import RUNS, cut, join, take, walk_parts

PROBLEM = Ravine()


def together(theta: Array, g: Array) -> Array:
    return g * min(1.0, 0.5 / (np.sqrt(np.sum(g * g)) + 1e-6))


def each(theta: Array, g: Array) -> Array:
    return join([part * min(1.0, 0.4 / (np.linalg.norm(part) + 1e-6)) for part in cut(g)])


def by_value(theta: Array, g: Array) -> Array:
    return np.minimum(np.maximum(g, -0.3), 0.3)


def adaptive(theta: Array, g: Array) -> Array:
    """Equation 3, unit by unit: rows of (2, 2), the whole of (1, 3) and (1,)."""
    clipped = []
    for weights, grad in zip(cut(theta), cut(g), strict=True):
        units = range(weights.shape[0])
        for w, u in [(weights[i], grad[i]) for i in units]:
            largest = 0.1 * max(float(np.linalg.norm(w)), 1e-2)
            length = float(np.linalg.norm(u))
            clipped.append(np.atleast_1d(largest * u / length if length > largest else u))
    return join(clipped)


WAYS: dict[str, tuple[Transform, Callable[[Array, Array], Array]]] = {
    "clip_norm": (clip_norm(0.5), together),
    "clip_norm_each": (clip_norm_each(0.4), each),
    "clip_value": (clip_value(0.3), by_value),
    "clip_adaptive": (clip_adaptive(clipping=0.1, eps=1e-2), adaptive),
}


@pytest.mark.parametrize("label", RUNS)
@pytest.mark.parametrize("way", WAYS)
def test_the_rule_gets_the_clipped_gradient(way: str, label: str) -> None:
    transform, clip = WAYS[way]
    rule, loop, settings = RUNS[label]
    changed = []

    def gradient(theta: Array, k: int) -> Array:
        g = PROBLEM.gradient(theta, k)
        changed.append(not np.array_equal(g, clip(theta, g)))
        return clip(theta, g)

    reference = loop(PROBLEM.start, gradient, STEPS, **settings)
    assert any(changed)
    ours = walk_parts(transform(rule), PROBLEM.gradient, STEPS)[0]
    assert difference(ours, reference) <= TOLERANCE


@pytest.mark.parametrize("max_norm", [0.3, 1.0, 100.0])
def test_global_norm_is_torchs(max_norm: float) -> None:
    rule = clip_norm(max_norm)(rules.adam(lr=0.05))
    ours = [torch.from_numpy(part) for part in cut(PROBLEM.start.copy())]
    theirs = [part.clone().requires_grad_() for part in ours]
    optimizer = torch.optim.Adam(theirs, lr=0.05)
    states = [rule.init(part) for part in ours]
    for k in range(STEPS):
        grads = [torch.from_numpy(g) for g in cut(PROBLEM.gradient(join(ours), k))]
        ours, states = take(rule, ours, grads, states, hyper_of(rule))
        for param, g in zip(theirs, cut(PROBLEM.gradient(join_of(theirs), k)), strict=True):
            param.grad = torch.from_numpy(g)
        torch.nn.utils.clip_grad_norm_(theirs, max_norm)
        optimizer.step()
        assert difference(join(ours), join_of(theirs)) <= TOLERANCE


def join_of(params: list[torch.Tensor]) -> Array:
    return join([param.detach() for param in params])


def test_units_of_a_convolution_are_its_filters() -> None:
    random = np.random.default_rng(0)
    w, g = random.normal(size=(4, 3, 2, 2)), 5 * random.normal(size=(4, 3, 2, 2))
    w[2] = 0.0
    g[1] *= 1e-4
    rule = clip_adaptive(clipping=0.02, eps=1e-3)(rules.sgd(lr=1.0))
    param = torch.from_numpy(w)
    after, _ = rule.update(param, torch.from_numpy(g), rule.init(param), hyper_of(rule))
    expected = np.empty_like(w)
    for i in range(4):
        largest = 0.02 * max(float(np.linalg.norm(w[i])), 1e-3)
        length = float(np.linalg.norm(g[i]))
        expected[i] = w[i] - (g[i] * largest / length if length > largest else g[i])
    assert np.max(np.abs(after.numpy() - expected)) <= 1e-14
    assert np.linalg.norm(after.numpy()[2]) == pytest.approx(0.02 * 1e-3, rel=1e-12)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1), (1, 5, 1)])
def test_a_vector_is_one_unit(shape: tuple[int, ...]) -> None:
    rule = clip_adaptive(clipping=0.1)(rules.sgd(lr=1.0))
    w, g = np.arange(1.0, 6.0), np.array([3.0, -1.0, 4.0, 1.0, -5.0])
    after, _ = rule.update(
        torch.from_numpy(w).reshape(shape), torch.from_numpy(g).reshape(shape), {}, hyper_of(rule)
    )
    expected = w - g * 0.1 * np.sqrt(55.0 / 52.0)
    assert np.max(np.abs(after.numpy().reshape(-1) - expected)) <= 1e-14


def test_a_gradient_of_zero_stays_zero() -> None:
    for transform, _ in WAYS.values():
        rule = transform(rules.sgd(lr=1.0))
        param = torch.zeros(3, dtype=torch.float64)
        after, _ = take(rule, [param], [torch.zeros_like(param)], [{}], hyper_of(rule))
        assert torch.equal(after[0], param)
