"""For every promise, rules that break it and no other one, and what the suite says of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ravine import Optimizer, rules
from ravine.rules import Hyper, Rule, State
from ravine.rules._parts import no_state, norm, zeros, zeros_and_step
from ravine.rules._rule import Update
from ravine.testing import PROMISES, ConformanceError, check_reference, check_rule
from tests import references

torch.set_num_threads(1)

Step = tuple[Tensor, State]


def rule_of(update: Update, init: Callable[[Tensor], State] = no_state, **changes: Any) -> Rule:
    changes = {"defaults": {"lr": 0.05}, **changes}
    return Rule(name="mine", title="Mine", init=init, update=update, source="here", **changes)


def descend(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    """What is right, as far as it is not the point."""
    return param - hyper["lr"] * grad, {name: entry.clone() for name, entry in state.items()}


def counting(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * grad / state["step"].add(1).sqrt(), {"step": state["step"] + 1}


BROKEN: dict[str, tuple[str, Rule, str]] = {}


def broken(promise: str, said: str, **parts: Any) -> Callable[[Update], Update]:
    """Put a rule with this update into the table."""

    def put(update: Update) -> Update:
        rule = rule_of(update, **parts)
        BROKEN[f"{promise}: {update.__name__}"] = (promise, rule, said)
        return update

    return put


@broken("state", "the update returned the entries none", init=zeros("velocity"))
def forgets(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * grad, {}


@broken("state", r"'mean' is of shape \[1\]", init=lambda param: {"mean": param.new_zeros(1)})
def remembers_one_number(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    mean = 0.9 * state["mean"] + 0.1 * grad.mean().reshape(1)
    return param - hyper["lr"] * (grad - mean), {"mean": mean}


@broken(
    "state",
    r"'square' went from \[4, 3\] to \[4\]",
    init=zeros("square"),
    granularity="matrix",
)
def sums_over_an_axis(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * grad, {"square": grad.square().sum(dim=-1)}


@broken("state", "0-D entry 'step' was .* depending on the gradients", init=zeros_and_step())
def counts_what_descends(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    step = state["step"] + (grad.sum() > 0)
    return param - hyper["lr"] * grad / (1 + step), {"step": step}


@broken(
    "state",
    "init cannot be called on a tensor without memory",
    init=lambda param: {"scale": torch.full_like(param, float(param.abs().max()))},
)
def scaled_by_the_start(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * state["scale"] * grad, {"scale": state["scale"].clone()}


@broken("dtypes", r"the parameter of shape .* from torch.float32 to torch.float64")
def widens(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * grad.double(), {}


@broken(
    "dtypes",
    r"'step' is torch.bfloat16 .*\n.* stops counting at 256",
    init=lambda param: {"step": param.new_zeros(())},
)
def counts_in_bfloat16(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return counting(param, grad, state, hyper)


@broken(
    "dtypes",
    "the entry 'velocity' of shape .* from torch.bfloat16 to torch.float32",
    init=zeros("velocity"),
)
def widens_its_state(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    wide = torch.promote_types(param.dtype, torch.float32)
    v = hyper["lr"] * grad - 0.5 * state["velocity"]
    return param - v.to(param.dtype), {"velocity": v.to(wide)}


@broken("dtypes", "the parameter of torch.bfloat16 is not finite")
def divides_by_what_rounds_to_zero(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    one = torch.ones_like(grad)
    return param - hyper["lr"] * 1e-3 * grad / ((one + 1e-3) - one), {}


@broken("purity", "wrote into 'grad'")
def writes_in_place(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - grad.mul_(hyper["lr"]), {}


@broken("purity", "the memory of 'param' as 'last'", init=zeros("last"))
def keeps_its_input(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * (grad + 0.1 * (param - state["last"])), {"last": param}


@broken("purity", "init gave 'anchor' the memory of 'param'", init=lambda param: {"anchor": param})
def is_anchored(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    anchor = state["anchor"]
    return param - hyper["lr"] * (grad + param - anchor), {"anchor": anchor.clone()}


@broken("purity", "two calls with the same inputs gave two values of 'param'")
def draws_noise(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * (grad + torch.randn_like(grad)), {}


@broken("graph", r'"return param - float\(hyper\["lr"\]\) \* grad, \{\}"')
def bakes_a_setting(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - float(hyper["lr"]) * grad, {}


@broken("graph", r'"if grad.sum\(\) > 100:".*\n.*\n.*torch.where in place of `if`')
def branches_on_values(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    if grad.sum() > 100:
        return param.clone(), {}
    return param - hyper["lr"] * grad, {}


def _chosen(make: Callable[[State], Update]) -> dict[str, Any]:
    return {"init": zeros_and_step(), "choose": make}


@broken("choice", "a new function for a state", **_chosen(lambda state: partial(counting)))
def makes_functions(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return counting(param, grad, state, hyper)


@cache
def numbered(number: int) -> Update:
    return partial(counting)


@broken("choice", "more than 8 functions", **_chosen(lambda state: numbered(int(state["step"]))))
def has_a_function_a_step(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return counting(param, grad, state, hyper)


@broken("settings", "no other value of 'beta'", defaults={"lr": 0.05, "beta": 0.9})
def reads_its_own_constant(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * (1 - 0.9) * grad, {}


def off(param: Tensor, state: State, hyper: Hyper) -> Tensor:
    return param + hyper["lr"]


@broken("probe", "before the first step the probe is", probe=off)
def probes_elsewhere(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return descend(param, grad, state, hyper)


def limited(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * grad / (1 + hyper["size"]), {}


@broken(
    "totals",
    r"gave terms of shape \[1\]",
    totals={"size": lambda param, grad, state, hyper: norm(grad)},
)
def sums_norms(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return limited(param, grad, state, hyper)


@broken(
    "totals",
    "'size' is .* summed parameter by parameter, and .* over all of them",
    totals={"size": lambda param, grad, state, hyper: grad.square() / grad.numel()},
)
def sums_means(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return limited(param, grad, state, hyper)


@broken("granularity", 'granularity "elementwise": every element goes by itself')
def looks_at_all_elements(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * grad / grad.norm(), {}


@broken("granularity", r'granularity "tensor": each row of \[..., n\]', granularity="tensor")
def looks_at_all_rows(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"] * grad / grad.norm(), {}


@cache
def at_rate(rate: int) -> Update:
    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
        return param - hyper["lr"] * grad, {"rate": (1e6 * hyper["lr"]).round().float()}

    return update


@broken(
    "recompilation",
    "compiled anew .*kernels: ",
    init=lambda param: {"rate": torch.zeros((), device=param.device)},
    granularity="matrix",
    choose=lambda state: at_rate(int(state["rate"])),
)
def has_a_function_a_rate(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return at_rate(0)(param, grad, state, hyper)


@broken(
    "recompilation",
    "compiled anew .*kernels: ",
    init=lambda param: {"rate": torch.zeros((), device=param.device)},
    choose=lambda state: at_rate(int(state["rate"])),
)
def has_a_kernel_a_rate(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return at_rate(0)(param, grad, state, hyper)


@broken("population", "member 1 of 3 is .* from where it goes alone")
def takes_the_first_rate(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    return param - hyper["lr"].flatten()[0] * grad, {}


@broken("accumulation", "already has a state entry named accumulated", init=zeros("accumulated"))
def takes_a_name(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Step:
    v = 0.9 * state["accumulated"] + grad
    return param - hyper["lr"] * v, {"accumulated": v}


@broken(
    "checkpoint",
    "the eager engine that was resumed at step 12 went another way",
    init=zeros("train_point"),
    output=lambda param, state, hyper: param - hyper["lr"] * state["train_point"],
)
def takes_the_name_of_what_eval_keeps(
    param: Tensor, grad: Tensor, state: State, hyper: Hyper
) -> Step:
    v = 0.9 * state["train_point"] + grad
    return param - hyper["lr"] * v, {"train_point": v}


@pytest.mark.parametrize("case", BROKEN)
def test_exactly_this_promise_is_broken(case: str) -> None:
    promise, rule, said = BROKEN[case]
    compiling = {"compiled", "recompilation", "checkpoint"} - {promise}
    with pytest.raises(ConformanceError, match=said) as caught:
        check_rule(rule, without=compiling if rule.granularity == "elementwise" else ())
    assert caught.value.promises == (promise,)
    for word in ("came:", "expected:", "to change:"):
        assert str(caught.value).count(word) == 1


@pytest.mark.parametrize("case", [case for case in BROKEN if not case.startswith("accumulation")])
def test_each_check_by_itself_says_so_too(case: str) -> None:
    promise, rule, said = BROKEN[case]
    with pytest.raises(ConformanceError, match=said) as caught:
        PROMISES[promise].check(rule, (4, 3))
    assert caught.value.promises == (promise,)


def test_a_wrong_first_step_is_told_from_a_wrong_memory() -> None:
    with pytest.raises(ConformanceError, match=r"after step 1\n.*\n.*look at signs"):
        check_reference(rules.rmsprop_inside(), references.rmsprop)
    with pytest.raises(ConformanceError, match=r"after step 2\n.*\n.*the count of steps"):
        check_reference(rules.momentum(), lambda *args, lr, momentum: references.sgd(*args, lr=lr))


class Astray(Optimizer):
    """An optimizer whose compiled steps are a millionth too long."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if self.engine == "compiled":
            for param in self.param_groups[0]["params"]:
                param.grad = param.grad * (1 + 1e-6)
        return super().step(closure)


def test_a_wrong_kernel_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rule goes another way when it is compiled but by rounding, so here the engine is wrong."""
    monkeypatch.setattr("ravine.testing._engines.Optimizer", Astray)
    with pytest.raises(
        ConformanceError, match=r"the compiled engine is .* from the eager"
    ) as caught:
        check_rule(rule_of(descend))
    assert caught.value.promises == ("compiled",)


def test_every_promise_is_broken_by_a_rule() -> None:
    assert {promise for promise, _, _ in BROKEN.values()} == set(PROMISES) - {"compiled"}
