"""Narrow parameters stepped in float32, and the ways to round."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from ravine import rules
from ravine.errors import SettingError
from ravine.rules import Rule
from ravine.transforms import accumulate, chain, clip_norm, decoupled, in_float32, polyak
from ravine.transforms.precision import ROUNDINGS
from tests.cases import STEPS, Ravine, hyper_of
from tests.transforms.walking import OWN, RUNS, take, walk_parts

F32 = np.float32
Bits = NDArray[np.uint32]


def bits(x: Any) -> Bits:
    return np.asarray(x, dtype=F32).view(np.uint32)


def to_nearest(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The nearest bfloat16, ties to even, by the bits."""
    b = bits(x).astype(np.uint64)
    b = (b + 0x7FFF + ((b >> 16) & 1)) & 0xFFFF0000
    return b.astype(np.uint32).view(F32)


def hashed(x: Bits) -> Bits:
    """Wellons' two rounds, in the 32-bit arithmetic they were found in."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x735A2D97)
    return x ^ (x >> np.uint32(15))


def at_random(x: Any, param: Any, grad: Any, step: int) -> NDArray[np.float32]:
    """Up where the cut digits exceed the 16 random ones."""
    seed = hashed(np.full(np.shape(x), step, dtype=np.uint32))
    noise = hashed(hashed(seed ^ bits(grad)) ^ bits(param)) & np.uint32(0xFFFF)
    cut = bits(x) & np.uint32(0xFFFF)
    down = bits(x) - cut
    up = cut.astype(np.uint64) + noise >= 0x10000
    return (down + np.where(up, np.uint32(0x10000), np.uint32(0))).view(F32)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def walk_narrow(rule: Rule, param: Tensor, grads: list[Tensor]) -> list[NDArray[np.float32]]:
    hyper = {name: value.float() for name, value in hyper_of(rule).items()}
    params, states, path = [param], [rule.init(param)], []
    for grad in grads:
        params, states = take(rule, params, [grad], states, hyper)
        path.append(params[0].float().numpy())
    return path


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "kahan"])
def test_momentum_bit_for_bit(rounding: str) -> None:
    """v and θ in NumPy's float32, rounded by the bits, over 50 steps."""
    param, grads = random(200), [random(200, seed=k + 1) for k in range(STEPS)]
    theta, v, lost = param.float().numpy(), np.zeros(200, F32), np.zeros(200, F32)
    path = []
    for k, grad in enumerate(grads):
        g = grad.float().numpy()
        v = F32(0.9) * v - F32(1e-3) * g
        exact = theta + lost + v
        chance = rounding == "stochastic"
        theta = at_random(exact, theta, g, k + 1) if chance else to_nearest(exact)
        if rounding == "kahan":
            lost = to_nearest(exact - theta)
        v = to_nearest(v)
        path.append(theta)
    ours = walk_narrow(in_float32(rounding)(rules.momentum()), param, grads)
    assert np.array_equal(np.array(ours), np.array(path))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("label", RUNS)
def test_wide_parameters_step_as_without(label: str, rounding: Any) -> None:
    rule, problem = RUNS[label][0], Ravine()
    plain = walk_parts(rule, problem.gradient, STEPS)
    wrapped = walk_parts(in_float32(rounding)(rule), problem.gradient, STEPS)
    assert np.array_equal(plain[0], wrapped[0])
    assert np.array_equal(plain[1], wrapped[1])
    for dtype in (torch.float32, torch.float64):
        param = torch.ones(2, 3, dtype=dtype)
        assert in_float32(rounding)(rule).init(param).keys() == rule.init(param).keys()


def after_small_steps(rounding: Any, size: int = 4000, steps: int = 1000) -> NDArray[np.float64]:
    """1 + about steps·10⁻⁴ in bfloat16, whose numbers lie 2⁻⁷ apart between 1 and 2."""
    rule = in_float32(rounding)(rules.sgd(lr=1.0))
    hyper = {"lr": torch.tensor(1.0)}
    param = torch.ones(size, dtype=torch.bfloat16)
    state = rule.init(param)
    # Elements alike in parameter, gradient and step are rounded alike: the gradients differ a bit.
    grad = -1e-4 * torch.linspace(0.5, 1.5, size)
    for _ in range(steps):
        param, state = rule.update(param, grad.bfloat16(), state, hyper)
    return param.double().numpy()


def test_nearest_rounding_loses_small_steps() -> None:
    assert (after_small_steps("nearest") == 1.0).all()


def test_stochastic_rounding_is_right_on_average() -> None:
    """Each step adds a Bernoulli variable of variance at most gap·step = 2⁻⁷ · 1.5·10⁻⁴."""
    size, steps = 4000, 1000
    grad = 1e-4 * torch.linspace(0.5, 1.5, size)
    exact = 1 + steps * grad.bfloat16().double().numpy()
    error = after_small_steps("stochastic", size, steps) - exact
    spread = np.sqrt(steps * 2**-7 * 1e-4)  # of one element: 0.028
    # Many elements share a bfloat16 gradient, and with it their fate: about 200 differ.
    groups = len(np.unique(grad.bfloat16().double().numpy()))
    assert groups > 150
    assert abs(error.mean()) <= 4 * spread / np.sqrt(groups)
    assert 0.8 * spread <= error.std() <= 1.2 * spread


def test_stochastic_rounding_goes_up_as_often_as_the_rest_says() -> None:
    """10⁶ draws per rest; four standard deviations."""
    rule = in_float32("stochastic")(rules.sgd(lr=1.0))
    draws = 2**20
    state = {"rounding_step": torch.arange(draws, dtype=torch.float32)}
    param = torch.ones(draws, dtype=torch.bfloat16)
    for share in (1 / 64, 0.25, 0.5, 0.9375):
        grad = torch.full((draws,), -share * 2**-7, dtype=torch.bfloat16)
        after, _ = rule.update(param, grad, state, {"lr": torch.tensor(1.0)})
        assert set(after.unique().tolist()) == {1.0, 1.0 + 2**-7}
        ups = (after > 1).double().mean().item()
        assert abs(ups - share) <= 4 * np.sqrt(share * (1 - share) / draws)


def test_kahan_keeps_small_steps() -> None:
    """16 digits: 1000 steps, each wrong by 2⁻¹⁷ of a rest of at most 2⁻⁸, end within 2⁻⁸."""
    grad = 1e-4 * torch.linspace(0.5, 1.5, 4000)
    exact = 1 + 1000 * grad.bfloat16().double().numpy()
    ours = after_small_steps("kahan")
    assert np.max(np.abs(ours - exact)) <= 2**-8 + 1000 * 2**-17


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_numbers_that_need_no_rounding_stay(rounding: Any) -> None:
    rule = in_float32(rounding)(rules.sgd(lr=1.0))
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    after, _ = rule.update(
        every, torch.zeros_like(every), rule.init(every), {"lr": torch.tensor(1.0)}
    )
    finite = every.isfinite()
    assert torch.equal(after[finite], every[finite])
    assert torch.equal(after.isnan(), every.isnan())
    assert torch.equal(after.isinf(), every.isinf())


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_infinite_and_undefined_steps_stay_what_they_are(rounding: Any) -> None:
    rule = in_float32(rounding)(rules.sgd(lr=1.0))
    param = torch.ones(3, dtype=torch.bfloat16)
    grad = torch.tensor([-np.inf, np.inf, np.nan], dtype=torch.bfloat16)
    state, hyper = rule.init(param), {"lr": torch.tensor(1.0)}
    after, state = rule.update(param, grad, state, hyper)
    assert after[0] == np.inf
    assert after[1] == -np.inf
    assert after[2].isnan()
    again, _ = rule.update(after, torch.zeros_like(grad), state, hyper)
    assert again[:2].tolist() == after[:2].tolist()


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_nan_stays_one(rounding: Any) -> None:
    """CUDA's has all bits set, others only low ones, which bfloat16 does not have."""
    patterns = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7FC00000], np.uint32)
    nan = torch.from_numpy(patterns.view(np.int32)).view(torch.float32)
    broken = replace(rules.sgd(), update=lambda param, grad, state, hyper: (nan.clone(), {}))
    rule = in_float32(rounding)(broken)
    param = torch.ones(4, dtype=torch.bfloat16)
    state = rule.init(param)
    for _ in range(20):
        after, state = rule.update(param, param, state, {})
        assert after.isnan().all()


def test_kahan_beyond_the_range_of_float16() -> None:
    rule = in_float32("kahan")(rules.sgd(lr=1.0))
    param = torch.full((1,), 65000.0, dtype=torch.float16)
    state, hyper = rule.init(param), {"lr": torch.tensor(1.0)}
    for _ in range(2):
        param, state = rule.update(param, torch.full_like(param, -2000.0), state, hyper)
    assert param.tolist() == [np.inf]


def test_no_random_generator_is_touched() -> None:
    before = torch.get_rng_state()
    first, second = after_small_steps("stochastic", 50, 20), after_small_steps("stochastic", 50, 20)
    assert np.array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_rules_own_count_serves() -> None:
    param = torch.ones(3, dtype=torch.bfloat16)
    assert in_float32("stochastic")(rules.adam()).init(param).keys() == {
        "exp_avg",
        "exp_avg_sq",
        "step",
    }
    assert in_float32("stochastic")(rules.sgd()).init(param).keys() == {"rounding_step"}
    assert in_float32("kahan")(rules.sgd()).init(param)["compensation"].dtype is torch.bfloat16


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("inner", ["adam", "nesterov", *OWN])
def test_state_keeps_the_dtypes_of_the_rules_init(inner: str, rounding: Any) -> None:
    rule = rules.get(inner) if inner in rules.REGISTRY else OWN[inner][0]
    param = random(6)
    wrapped, plain = in_float32(rounding)(rule).init(param), rule.init(param)
    assert {n: (wrapped[n].dtype, wrapped[n].shape) for n in plain} == {
        n: (v.dtype, v.shape) for n, v in plain.items()
    }
    for name in plain:
        assert torch.equal(wrapped[name], plain[name])


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_traced_flat_and_in_a_population_the_same_bits(rounding: Any) -> None:
    rule = in_float32(rounding)(rules.adam(lr=1e-2))
    param, grads = random(4, 6), [random(4, 6, seed=k + 1) for k in range(5)]
    hyper = {name: value.float() for name, value in hyper_of(rule).items()}

    def run(update: Any, cut: Any, tile: Any) -> Tensor:
        theta = cut(param)
        state = {n: tile(v) if v.ndim == 0 else cut(v) for n, v in rule.init(param).items()}
        settings = {n: tile(v) for n, v in hyper.items()}
        for grad in grads:
            theta, state = update(theta, cut(grad), state, settings)
        return theta.reshape(4, 6)

    alone = run(rule.update, lambda x: x, lambda x: x)
    example = (param, grads[0], rule.init(param), hyper)
    traced = make_fx(rule.update, tracing_mode="symbolic")(*example)
    assert torch.equal(run(traced, lambda x: x, lambda x: x), alone)
    assert torch.equal(run(rule.update, torch.flatten, lambda x: x), alone)
    assert torch.equal(run(rule.update, lambda x: x, lambda x: x.expand(4, 1)), alone)
    assert torch.equal(run(torch.vmap(rule.update), lambda x: x, lambda x: x.expand(4)), alone)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler: no g++")
@pytest.mark.parametrize(
    ("rounding", "dtype"),
    [
        ("nearest", torch.bfloat16),
        ("nearest", torch.float16),
        ("stochastic", torch.bfloat16),
        ("kahan", torch.bfloat16),
        ("kahan", torch.float16),
    ],
)
def test_compiled_the_same_bits(rounding: Any, dtype: torch.dtype) -> None:
    """Inductor skips roundings inside a kernel, and Kahan's rest with them.

    The learning rate is a power of two: a product contracted with the sum gives the same number.
    """
    rule = in_float32(rounding)(rules.sgd(lr=2**-6))
    compiled = torch.compile(rule.update, dynamic=True, fullgraph=True)
    ours = theirs = random(1000, dtype=dtype)
    state = other = rule.init(ours)
    for k in range(20):
        grad = random(1000, seed=k + 1, dtype=dtype)
        ours, state = rule.update(ours, grad, state, hyper_of(rule))
        theirs, other = compiled(theirs, grad, other, hyper_of(rule))
        assert torch.equal(ours, theirs)
        assert all(torch.equal(state[name], other[name]) for name in state)


def test_totals_are_summed_in_float32() -> None:
    """300² is 90000, beyond float16's 65504: the norm must not be infinite, nor the step zero."""
    rule = chain(in_float32(), clip_norm(1.0), rules.sgd(lr=1.0))
    param = torch.zeros(4, dtype=torch.float16)
    after, _ = take(rule, [param], [torch.full_like(param, 300.0)], [{}], hyper_of(rule))
    assert after[0].tolist() == [-0.5] * 4


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_around_nesterov_accumulation_decay_and_averages(rounding: Any) -> None:
    """32 steps in bfloat16 stay within 2⁻⁷ per step of the same in float64."""
    inner = chain(accumulate(2), decoupled(0.1), rules.nesterov(lr=0.05))
    rule = in_float32(rounding)(polyak()(inner))
    hyper = hyper_of(rule)
    param = random(64)
    theta, exact = [param], [param.double()]
    states, exact_states = [rule.init(param)], [polyak()(inner).init(exact[0])]
    for k in range(32):
        grad = rule.probe(theta[0], states[0], hyper)
        assert grad.dtype is torch.bfloat16
        theta, states = take(rule, theta, [grad], states, hyper)
        at = inner.probe(exact[0], exact_states[0], hyper)
        exact, exact_states = take(polyak()(inner), exact, [at], exact_states, hyper)
        assert (theta[0].double() - exact[0]).abs().max() <= (k + 1) * 2**-7 * param.abs().max()
    assert states[0]["average"].dtype is torch.float32
    assert rule.output(theta[0], states[0], hyper).dtype is torch.bfloat16


def test_other_words_and_dtypes_are_refused() -> None:
    wrong: Any = "even"
    with pytest.raises(SettingError, match=r"rounding='even'.*'nearest', 'stochastic', 'kahan'"):
        in_float32(wrong)
    rule = in_float32("stochastic")(rules.sgd())
    with pytest.raises(SettingError, match=r"made for bfloat16.*\[2, 3\] is torch.float16.*kahan"):
        rule.init(torch.zeros(2, 3, dtype=torch.float16))
