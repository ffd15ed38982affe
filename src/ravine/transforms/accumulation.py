"""Gradient accumulation: one step of the rule on the mean of several gradients."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import Hyper, Rule, State
from ravine.rules._rule import Update
from ravine.transforms._transform import Inputs, Transform, with_entries, wrap


def accumulate(steps: int) -> Transform:
    r"""Gather k gradients, then take one step with their mean.

        G ← G + g                                    calls 1 ... k-1
        the rule's step with (G + g) / k, G ← 0      every k-th call

    Between the rule's steps the parameter and the rule's state stay as they are, so its own count
    of steps counts real steps only. What wraps the rule inside (`chain` parts between `accumulate`
    and the rule) sees the mean, once per step; what lies outside sees every call.

    Args:
        steps: k, gradients per step, at least 1.

    State: gradient_sum (G), shaped like the parameter, at least float32; accumulated (gradients
        in G), 0-D.

    Raises:
        SettingError: k is not a whole number of at least 1.
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise SettingError(
            f"steps={steps!r} is not a number of gradients to accumulate: pass a whole number of "
            "at least 1, such as accumulate(4)."
        )

    def see(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Inputs:
        mean = (state["gradient_sum"] + grad) / steps
        return param, mean.to(grad.dtype), state, hyper

    def around(update: Update) -> Update:
        def step(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
            param, new = update(*see(param, grad, state, hyper))
            return param, {
                **new,
                "gradient_sum": torch.zeros_like(state["gradient_sum"]),
                "accumulated": torch.zeros_like(state["accumulated"]),
            }

        return step

    def transform(rule: Rule) -> Rule:
        applied = cache(around)

        def init(param: Tensor) -> State:
            return with_entries(rule, rule.init(param), _entries(param))

        def choose(state: State) -> Update:
            full = int(state["accumulated"]) == steps - 1
            return applied(rule.update_for(state)) if full else _gather

        def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
            return choose(state)(param, grad, state, hyper)

        return wrap(
            rule,
            see,
            title=f"{rule.title} on the mean of {steps} gradients",
            init=init,
            update=update,
            choose=choose,
        )

    return transform


def _gather(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    return param, {
        **state,
        "gradient_sum": state["gradient_sum"] + grad,
        "accumulated": state["accumulated"] + 1,
    }


def _entries(param: Tensor) -> State:
    """At least float32: a sum in bfloat16 loses a gradient that is 1/256 of it."""
    wide = torch.promote_types(param.dtype, torch.float32)
    return {
        "gradient_sum": torch.zeros_like(param, dtype=wide),
        "accumulated": torch.zeros((), dtype=torch.float32, device=param.device),
    }
