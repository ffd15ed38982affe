"""A rule and the transforms around it in one line, and what all transforms keep of a rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ravine import rules, transforms
from ravine.errors import SettingError
from ravine.rules import Rule
from ravine.transforms import (
    accumulate,
    chain,
    clip_adaptive,
    clip_norm,
    clip_norm_each,
    clip_value,
    decoupled,
    exponential_average,
    in_float32,
    l2,
    maximize,
    polyak,
    stochastic_weight_average,
)
from tests.cases import STEPS, TOLERANCE, Ravine, difference, hyper_of
from tests.transforms.walking import OWN, normalized, renewing, shared, take, walk_parts

ALL = {
    "accumulate": accumulate(3),
    "clip_adaptive": clip_adaptive(),
    "clip_norm": clip_norm(),
    "clip_norm_each": clip_norm_each(),
    "clip_value": clip_value(),
    "decoupled": decoupled(),
    "exponential_average": exponential_average(),
    "in_float32": in_float32(),
    "kahan": in_float32("kahan"),
    "l2": l2(),
    "maximize": maximize,
    "polyak": polyak(),
    "stochastic": in_float32("stochastic"),
    "stochastic_weight_average": stochastic_weight_average(2, 2),
}


def test_gradients_meet_the_parts_from_left_to_right() -> None:
    problem, theta, path = Ravine(), Ravine().start, []
    for k in range(STEPS):
        g = problem.gradient(theta, k)
        g = np.clip(g, -0.5, 0.5) + 0.3 * theta  # were the penalty first, it would be clipped
        g = g * min(1, 0.2 / (np.linalg.norm(g) + 1e-6))
        theta = theta - 0.1 * g
        path.append(theta)
    rule = chain(clip_value(0.5), l2(0.3), clip_norm(0.2), rules.sgd(lr=0.1))
    assert difference(walk_parts(rule, problem.gradient, STEPS)[0], np.array(path)) <= TOLERANCE


def test_parts_left_of_the_rule_go_around_all_others() -> None:
    """The penalty left of the rule comes first: it is taken at θ before the decay on the right."""
    problem, theta, path = Ravine(), Ravine().start, []
    for k in range(STEPS):
        g = problem.gradient(theta, k)
        g = g + 0.01 * np.clip(theta, -0.5, 0.5)
        theta = (1 - 0.1 * 0.3) * theta - 0.1 * g
        path.append(theta)

    def penalized(rule: Rule) -> Rule:
        return transforms.on_gradient(
            rule, lambda param, grad, state, hyper: grad + 0.01 * param.clamp(-0.5, 0.5)
        )

    rule = chain(penalized, rules.sgd(lr=0.1), decoupled(0.3))
    assert difference(walk_parts(rule, problem.gradient, STEPS)[0], np.array(path)) <= TOLERANCE


def test_a_rule_alone_is_a_chain() -> None:
    rule = rules.adam()
    assert chain(rule) is rule


def test_clipping_before_gathering_and_decay_on_the_mean() -> None:
    problem, theta, path = Ravine(), Ravine().start, []
    for k in range(0, STEPS - 1, 2):
        clipped = [
            g * min(1, 0.5 / (np.linalg.norm(g) + 1e-6))
            for g in (problem.gradient(theta, k), problem.gradient(theta, k + 1))
        ]
        path += [theta]
        theta = theta - 0.1 * (sum(clipped) / 2 + 0.3 * theta)
        path += [theta]
    rule = chain(clip_norm(0.5), accumulate(2), l2(0.3), rules.sgd(lr=0.1))
    assert difference(walk_parts(rule, problem.gradient, len(path))[0], np.array(path)) <= 1e-12


def test_inner_totals_see_what_outer_transforms_make_of_gradient_and_parameter() -> None:
    """Clipping (itself by a total), penalty, mean and decay lie between the sum and the gradient."""
    problem, theta, path = Ravine(), Ravine().start, []
    for k in range(0, STEPS - 1, 2):
        clipped = [
            g * min(1, 0.5 / (np.linalg.norm(g) + 1e-6))
            for g in (problem.gradient(theta, k), problem.gradient(theta, k + 1))
        ]
        path += [theta]
        g = sum(clipped) / 2
        theta = (1 - 0.1 * 0.3) * theta
        theta = theta - 0.1 * g / np.sqrt(1 + np.sum(g * g + 0.01 * theta * theta))
        path += [theta]
    rule = chain(clip_norm(0.5), accumulate(2), decoupled(0.3), shared(lr=0.1))
    assert list(rule.totals) == ["grad_square_sum", "energy"]
    assert difference(walk_parts(rule, problem.gradient, len(path))[0], np.array(path)) <= 1e-12


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), r"exactly one rule, and among the 0 parts of this one there are 0; .*write chain\("),
        ((clip_norm(1.0),), r"among the 1 parts of this one there are 0"),
        ((rules.adam(), rules.sgd()), r"there are 2: Adam, .*; the other parts are transforms"),
        ((clip_norm(1.0), rules.adam), r"the part adam of a chain makes a rule .*rules\.adam\(\)"),
        (("adam",), r"the part 'adam' of a chain is a name.*rules\.get\('adam'\)"),
        ((3, rules.adam()), r"the part 3 of a chain is neither a rule.*clip_norm\(1\.0\)"),
        ((clip_norm, rules.adam()), r"the part clip_norm .* gave function instead of a rule.*call"),
    ],
)
def test_what_is_no_chain_is_refused(parts: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        chain(*parts)


def test_names_that_would_be_shared_are_refused() -> None:
    with pytest.raises(SettingError, match=r"already has a setting or total named .*max_norm"):
        chain(clip_norm(1.0), clip_norm_each(1.0), rules.sgd())
    with pytest.raises(SettingError, match=r"already has a state entry named average and averaged"):
        exponential_average()(polyak()(rules.sgd())).init(torch.zeros(2))


@pytest.mark.parametrize("name", ALL)
def test_a_transform_keeps_the_rules_name_and_settings(name: str) -> None:
    rule, wrapped = rules.nesterov(lr=0.3), ALL[name](rules.nesterov(lr=0.3))
    assert wrapped.name == rule.name
    assert wrapped.title.startswith(rule.title)
    assert wrapped.title != rule.title
    assert wrapped.source.startswith(rule.source)
    assert {key: wrapped.defaults[key] for key in rule.defaults} == dict(rule.defaults)
    assert wrapped.probe is not rules.at_param
    assert ALL[name](rules.sgd()).probe is rules.at_param


@pytest.mark.parametrize("name", ALL)
def test_chosen_updates_stay_the_same_objects(name: str) -> None:
    wrapped = transforms.on_gradient(ALL[name](renewing()), lambda p, grad, s, h: -grad)
    assert wrapped.choose is not None
    counts = {"step": 0, "accumulated": 0}
    seen: dict[tuple[int, int], set[int]] = {}
    for step in range(6):
        for gathered in (1, 2):
            state = {n: torch.tensor(float(v)) for n, v in counts.items()}
            state |= {"step": torch.tensor(float(step)), "accumulated": torch.tensor(gathered)}
            key = (step % 3, gathered)
            seen.setdefault(key, set()).add(id(wrapped.choose(state)))
    assert all(len(objects) == 1 for objects in seen.values())
    assert len(set().union(*seen.values())) == (3 if name == "accumulate" else 2)


COARSE = {
    "elementwise": {"clip_norm_each": "tensor", "clip_adaptive": "matrix"},
    "tensor": {"clip_adaptive": "matrix"},
    "matrix": {},
}


@pytest.mark.parametrize("name", ALL)
def test_granularity_is_the_coarser_of_both(name: str) -> None:
    for rule in (rules.adam(), normalized(), OWN["centered"][0]):
        expected = COARSE[rule.granularity].get(name, rule.granularity)
        assert ALL[name](rule).granularity == expected


def test_a_tensor_rule_stays_whole_inside_a_matrix_transform() -> None:
    """Clipping of whole parameters inside, of units outside; wide open, the outer changes nothing."""
    problem = Ravine()
    inner = chain(clip_norm_each(0.3), normalized())
    alone = walk_parts(inner, problem.gradient, STEPS)[0]
    wrapped = clip_adaptive(clipping=1e9)(inner)
    assert difference(walk_parts(wrapped, problem.gradient, STEPS)[0], alone) <= 1e-15


def random(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)


def stacked(rule: Rule, params: Tensor, grads: Tensor, steps: int, way: str) -> Tensor:
    """θ of three members after some steps with totals, flat ("flat": [3, n]) or by vmap ("vmap")."""
    members = [{k: v * (1 - 0.1 * m) for k, v in hyper_of(rule).items()} for m in range(3)]
    alone = [rule.init(param) for param in params]
    state = {name: torch.stack([entries[name] for entries in alone]) for name in alone[0]}
    hyper = {name: torch.stack([h[name] for h in members]) for name in members[0]}
    if way == "flat":
        hyper = {name: value[:, None] for name, value in hyper.items()}
        state = {name: v[:, None] if v.ndim == 1 else v for name, v in state.items()}
    hyper = {name: value.to(params.dtype) for name, value in hyper.items()}
    for k in range(steps):
        seen = dict(hyper)
        for name, summand in rule.totals.items():
            if way == "flat":
                seen[name] = summand(params, grads[k], state, seen).sum(-1, keepdim=True)
            else:
                seen[name] = torch.vmap(summand)(params, grads[k], state, seen).flatten(1).sum(1)
        update = rule.update_for({n: v.reshape(-1)[0] for n, v in state.items() if v.numel() == 3})
        if way == "vmap":
            update = torch.vmap(update)
        params, state = update(params, grads[k], state, seen)
    return params


def wrapped(name: str, inner: str) -> Rule:
    return ALL[name](rules.get(inner) if inner in rules.REGISTRY else OWN[inner][0])


POPULATIONS = [
    (name, inner, way)
    for name in ALL
    for inner in ("nadam", *OWN)
    for way in ("flat", "vmap")
    if way == "vmap" or wrapped(name, inner).granularity != "matrix"
]


@pytest.mark.parametrize(("name", "inner", "way"), POPULATIONS)
def test_a_population_gives_each_member_what_it_gets_alone(name: str, inner: str, way: str) -> None:
    rule = wrapped(name, inner)
    params, grads = random(3, 5), random(7, 3, 5, seed=1)
    together = stacked(rule, params, grads, 7, way)
    for member in range(3):
        hyper = {k: v * (1 - 0.1 * member) for k, v in hyper_of(rule).items()}
        theta, states = [params[member]], [rule.init(params[member])]
        for grad in grads[:, member]:
            theta, states = take(rule, theta, [grad], states, hyper)
        torch.testing.assert_close(together[member], theta[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("inner", ["nadam", "nesterov", *OWN])
def test_keeps_dtype_and_shape(name: str, inner: str, dtype: torch.dtype) -> None:
    rule = wrapped(name, inner)
    shape = (2, 3) if rule.granularity == "matrix" else (6,)
    param, grad = random(*shape, dtype=dtype), random(*shape, dtype=dtype, seed=1)
    first, hyper = rule.init(param), hyper_of(rule)
    thetas, states = [param], [first]
    for _ in range(4):
        before = [param.clone(), grad.clone(), *(v.clone() for v in states[0].values())]
        inputs = [param, grad, *states[0].values()]
        thetas, states = take(rule, thetas, [grad], states, hyper)
        assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))
        for point in (rule.probe, rule.output, lambda theta, state, hyper: theta):
            seen = point(thetas[0], states[0], hyper)
            assert (seen.dtype, seen.shape) == (dtype, param.shape)
        kinds = {n: (v.dtype, v.shape) for n, v in states[0].items()}
        assert kinds == {n: (v.dtype, v.shape) for n, v in first.items()}
    assert dtype is torch.bfloat16 or not torch.equal(thetas[0], param)  # 8 bits lose a small step


def updates_of(rule: Rule, params: Tensor, grad: Tensor) -> list[tuple[Any, Any, Any]]:
    """(update, state, hyper with totals) of the first four steps."""
    hyper, state, found = hyper_of(rule), rule.init(params), []
    for _ in range(4):
        seen = dict(hyper)
        for name, summand in rule.totals.items():
            seen[name] = summand(params, grad, state, seen).sum()
        update = rule.update_for(state)
        found.append((update, state, seen))
        params, state = update(params, grad, state, seen)
    return found


@pytest.mark.parametrize("name", ALL)
def test_every_update_is_one_graph_for_all_settings(name: str) -> None:
    graphs = 0

    def count(graph: torch.fx.GraphModule, example_inputs: Any) -> Any:
        nonlocal graphs
        graphs += 1
        return graph.forward

    rule = ALL[name](rules.adam())
    torch.compiler.reset()
    compiled: dict[Any, Any] = {}
    for size, dtype in ((5, torch.bfloat16), (7, torch.bfloat16)):
        param, grad = random(size, dtype=dtype), random(size, dtype=dtype, seed=1)
        for update, state, hyper in updates_of(rule, param, grad):
            for scale in (1.0, 0.7):
                scaled = {k: v * scale for k, v in hyper.items()}
                ours = update(param, grad, state, scaled)
                if update not in compiled:
                    compiled[update] = torch.compile(
                        update, backend=count, dynamic=True, fullgraph=True
                    )
                theirs = compiled[update](param, grad, state, scaled)
                torch.testing.assert_close(theirs, ours, rtol=0, atol=0)
    assert graphs == len(compiled) == (2 if name == "accumulate" else 1)


def test_every_transform_of_the_package_is_tried_here() -> None:
    tried = {name for name in ALL if name not in ("kahan", "stochastic")}
    others = {"Transform", "at_probe", "chain", "on_gradient", "wrap"}
    assert set(transforms.__all__) == tried | others
    assert transforms.__all__ == sorted(transforms.__all__)
