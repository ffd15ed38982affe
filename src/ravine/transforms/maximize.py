"""Climb instead of descend."""

from __future__ import annotations

from functools import cache

from torch import Tensor

from ravine.rules import Hyper, Rule, State
from ravine.transforms._transform import on_gradient


@cache
def maximize(rule: Rule) -> Rule:
    """The rule, on the negated gradient: what it minimized it maximizes. Decay still shrinks.

    g ← -g
    """
    return on_gradient(rule, _negated, title=f"{rule.title}, maximizing")


def _negated(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
    return -grad
