"""Rules put together from a class's options; the same object for the same options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, Literal

from torch import Tensor

from ravine.rules import Hyper, Rule, State
from ravine.rules._parts import zeros_and_step
from ravine.transforms import at_probe, decoupled, in_float32, l2, maximize

Decay = Literal["none", "l2", "decoupled"]


@cache
def composed(
    constructor: Callable[..., Rule], decay: Decay = "none", counted: bool = False, **choices: Any
) -> Rule:
    """The rule of `constructor(**choices)` with its decay; one object per set of arguments.

    Args:
        constructor: makes the rule.
        decay: what goes around it.
        counted: add the entry "step" that torch's checkpoints hold, to a rule that needs none.
        choices: arguments that are no hyperparameters.
    """
    rule = constructor(**choices)
    if decay != "none":
        rule = (l2() if decay == "l2" else decoupled())(rule)
    return _count_steps(rule) if counted else rule


@cache
def ready(rule: Rule, climbs: bool, rounding: str | None) -> Rule:
    """The rule as engines run it: its gradient at the parameter.

    Args:
        rule: a rule.
        climbs: whether it maximizes.
        rounding: how narrow parameters are rounded after a step in float32; None if none is narrow:
            equal rules then share their kernels.
    """
    if rounding is not None:
        rule = in_float32(rounding)(rule)  # type: ignore[arg-type]
    return at_probe(maximize(rule) if climbs else rule)


def l2_of(group: dict[str, Any]) -> Decay:
    """The decay that a group asks for, in the classes where weight_decay is an L2 penalty."""
    return "l2" if group["weight_decay"] != 0 else "none"


def decoupled_of(group: dict[str, Any]) -> Decay:
    """As `l2_of`, in the classes where weight_decay is decoupled."""
    return "decoupled" if group["weight_decay"] != 0 else "none"


def decay_of(group: dict[str, Any]) -> Decay:
    """As `l2_of`, in the classes with an option `decoupled_weight_decay`."""
    return decoupled_of(group) if group["decoupled_weight_decay"] else l2_of(group)


def _count_steps(rule: Rule) -> Rule:
    def init(param: Tensor) -> State:
        return {**rule.init(param), **zeros_and_step()(param)}

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        param, new = rule.update(param, grad, state, hyper)
        return param, {**new, "step": state["step"] + 1}

    return replace(rule, init=init, update=update)
