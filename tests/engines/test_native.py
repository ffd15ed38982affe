"""Native kernels: what is written in C++ is what the rule says, and nothing is written elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ravine import rules
from ravine.engines import eager
from ravine.engines.graphs.parts import take_apart
from ravine.engines.native import engine as native
from ravine.engines.native.cpp import UnsupportedError, source
from ravine.engines.native.engine import NativeEngine
from ravine.rules import Rule

X = torch.tensor([-2.5, -1.0, -0.0, 0.0, 0.3, 1.0, 7.0, float("nan"), float("inf"), -float("inf")])

OPERATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "arithmetic": lambda x, h: (x + h) * 3 - h / 2 - x / 7 + 2 / (x * x + 1) - (1 - x),
    "division by a scalar": lambda x, h: x / (1 - h**3),
    "abs, neg, sign": lambda x, h: x.abs() - 2 * (-x) + torch.sign(x * h),
    "roots": lambda x, h: x.abs().sqrt() + (x.abs() + h).rsqrt() + (x.abs() + 2).reciprocal(),
    "exponentials": lambda x, h: (
        x.clamp(-3, 3).exp() + x.clamp(-3, 3).expm1() + (x.abs() + h).log()
    ),
    "powers": lambda x, h: x**2 + (x.abs() + h) ** 0.5 + 2 ** x.clamp(max=3) + x.abs() ** h,
    "extremes": lambda x, h: torch.maximum(x, 0 * x + h) + torch.minimum(x, 0 * x + 0.4),
    "clamps": lambda x, h: x.clamp(min=-1) + x.clamp(max=2) + x.clamp(-0.5, 0.5),
    "selection": lambda x, h: torch.where(x > h, x, -1.0 * x) + torch.where(x <= 0.3, h, x),
    "logic": lambda x, h: torch.where((x > 0) & ~(x >= 1) | (x == -1), x, h),
    "constants": lambda x, h: torch.zeros_like(x) + torch.ones_like(x) * h + x * 0.1,
    "rounding to float32 and back": lambda x, h: (x * 0.1).float().double() * h,
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_do_what_torch_does(name: str) -> None:
    """On numbers of all kinds, NaN and the infinities among them."""

    def update(param: Tensor, grad: Tensor, state: Any, hyper: Any) -> Any:
        return OPERATORS[name](grad, hyper["lr"]), {}

    rule = Rule(name, name, {"lr": 0.7}, lambda param: {}, update, "")
    param, grad = torch.zeros(10, dtype=torch.float64), X.double()
    expected, _ = update(param, grad, {}, eager.hyper_tensors(rule.defaults))
    engine = NativeEngine(rule, defaultdict(dict))
    engine.arrange([param])
    engine.step([grad], eager.hyper_tensors(rule.defaults))
    torch.testing.assert_close(param, expected, rtol=1e-14, atol=1e-14, equal_nan=True)


@pytest.mark.parametrize(
    "odd",
    [lambda g, t: torch.erfinv(g), lambda g, t: (g > 0) * 0.5, lambda g, t: g * (0.9 ** t.long())],
)
def test_an_operator_without_cpp_is_refused_before_anything_is_stepped(odd: Any) -> None:
    def update(param: Tensor, grad: Tensor, state: Any, hyper: Any) -> Any:
        return param - hyper["lr"] * odd(grad, state["step"]), {"step": state["step"] + 1}

    rule = Rule("odd", "odd", {"lr": 0.1}, lambda param: {"step": torch.zeros(())}, update, "")
    with pytest.raises(UnsupportedError):
        NativeEngine(rule, {})


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_element_is_stepped_once_and_none_beyond(threads: int) -> None:
    """Sizes around the borders at which threads take over from each other; guards between them."""
    sizes = [1, 0, 15, 16, 17, 4999, 33_000, 7, 50_001]
    memory = torch.zeros(sum(sizes) + len(sizes), dtype=torch.float64)
    params, start = [], 0
    for size in sizes:
        params.append(memory[start : start + size])
        start += size + 1
    engine = NativeEngine(rules.sgd(), {})
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        engine.arrange(params)
        engine.step([torch.ones_like(p) for p in params], eager.hyper_tensors({"lr": 1.0}))
    finally:
        torch.set_num_threads(before)
    assert all((param == -1).all() for param in params)
    assert memory.sum() == -sum(sizes)


def test_states_that_were_moved_are_found_again() -> None:
    param, store = torch.nn.Parameter(torch.zeros(5)), defaultdict(dict)
    engine = NativeEngine(rules.momentum(lr=1.0, momentum=0.5), store)
    hyper = eager.hyper_tensors(engine.rule.defaults)
    for _ in range(2):
        engine.arrange([param])
        engine.step([torch.ones(5)], hyper)
        store[param]["velocity"].share_memory_()  # its old memory is gone
    assert torch.equal(param.detach(), torch.full((5,), -1 - 1.5))
    assert torch.equal(store[param]["velocity"], torch.full((5,), -1.5))


def test_entries_that_were_replaced_are_taken_up() -> None:
    param, store = torch.nn.Parameter(torch.zeros(5)), defaultdict(dict)
    engine = NativeEngine(rules.momentum(lr=1.0, momentum=0.5), store)
    for _ in range(2):
        engine.arrange([param])
        engine.step([torch.ones(5)], eager.hyper_tensors(engine.rule.defaults))
        store[param]["velocity"] = torch.zeros(5)  # as those do who start it anew
    assert torch.equal(param.detach(), torch.full((5,), -2.0))


@pytest.mark.parametrize(
    "change",
    [
        lambda p, s: setattr(p, "data", p.data[:3]),
        lambda p, s: setattr(p, "data", p.data.bfloat16()),
        lambda p, s: setattr(p, "data", p.data.expand(2, 5).t()),
        lambda p, s: s.update(velocity=torch.zeros(3)),
        lambda p, s: s.update(velocity=torch.zeros(5, device="meta")),
        lambda p, s: s.update(velocity=torch.zeros(5, dtype=torch.float64)),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_written_to(change: Any) -> None:
    param, store = torch.nn.Parameter(torch.zeros(5)), defaultdict(dict)
    engine = NativeEngine(rules.momentum(), store)
    engine.arrange([param])
    engine.step([torch.ones(5)], eager.hyper_tensors(engine.rule.defaults))
    with torch.no_grad():
        change(param, store[param])
    with pytest.raises(UnsupportedError, match="moved or converted"):
        engine.arrange([param])


def test_memory_that_two_parameters_share_is_left_to_others() -> None:
    memory = torch.zeros(5)
    params = [torch.nn.Parameter(memory), torch.nn.Parameter(memory)]
    assert native.can_step(rules.sgd(), params[:1], {})
    assert not native.can_step(rules.sgd(), params, {})


def test_autograd_notices_the_step() -> None:
    """As with torch's optimizers: a graph that needs the old weights says so."""
    weight = torch.nn.Parameter(torch.ones(3))
    loss = (weight * weight).sum()
    weight.grad = torch.ones(3)
    engine = NativeEngine(rules.sgd(), {})
    engine.arrange([weight])
    engine.step([weight.grad], eager.hyper_tensors({"lr": 0.1}))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_settings_that_move_make_no_new_kernel() -> None:
    rule = rules.adamw()
    params = [torch.randn(4, 3), torch.randn(7)]
    engine = NativeEngine(rule, defaultdict(dict))
    hyper = eager.hyper_tensors(rule.defaults)
    engine.arrange(params)
    engine.step([torch.ones_like(p) for p in params], hyper)
    made = dict(native.KERNELS[rule.update])
    for step in range(100):
        for name, value in rule.defaults.items():
            hyper[name] = torch.tensor(value * (1 - 0.001 * step), dtype=torch.float64)
        engine.arrange(params)
        engine.step([torch.ones_like(p) for p in params], hyper)
    assert native.KERNELS[rule.update] == made


def test_the_source_of_a_rule_is_short_and_plain() -> None:
    """SGD, from the graph to one statement in a loop."""
    parts = take_apart(
        lambda blocks, counts, hyper: ([blocks[0] - hyper[0] * blocks[1], None], [], []),
        [torch.zeros(7), torch.zeros(7)],
        [],
        [torch.ones((), dtype=torch.float64)],
        dynamic=True,
    )
    code = source(parts)
    assert "(float)((e0) * (n_arg1_1))" in code.replace("flat_", "")
    assert code.count("for (int64_t i") == 1


WITHOUT_COMPILER = """
import torch, warnings, ravine
weight = torch.nn.Parameter(torch.ones(400, 400))
weight.grad = torch.ones(400, 400)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name in ("Adam", "NAdam"):
        optimizer = getattr(ravine.optim, name)([weight], lr=0.25)
        optimizer.step()
        optimizer.step()
messages = [str(w.message) for w in caught if w.category is RuntimeWarning]
print(len(messages), "no C++ compiler found" in messages[0], float(weight[0, 0]))
"""


def test_without_a_compiler_it_warns_once_and_steps_uncompiled(tmp_path: Any) -> None:
    environment = {
        "PATH": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    count, named, weight = done.stdout.split()
    assert (count, named) == ("1", "True")
    adam = torch.nn.Parameter(torch.ones(1))
    for make in (torch.optim.Adam, torch.optim.NAdam):
        optimizer = make([adam], lr=0.25)
        for _ in range(2):
            adam.grad = torch.ones(1)
            optimizer.step()
    assert float(weight) == pytest.approx(adam.item(), rel=1e-5)
