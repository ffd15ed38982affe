"""A rule whose parameter is the point at which its gradient is taken."""

from __future__ import annotations

from functools import cache

from torch import Tensor

from ravine.rules import Hyper, Rule, State, at_param
from ravine.rules._rule import Update
from ravine.transforms._transform import Inputs, with_entries, wrap


@cache
def at_probe(rule: Rule) -> Rule:
    r"""Move the parameter to the rule's probe, and keep θ in the state.

        (θ, s) ← update(θ, g, s)
        p ← probe(θ, s)                the new parameter; the next gradient is taken at it

    A model trained by an ordinary loss.backward() then gets its gradient where the rule wants it.
    Goes around all other transforms: they speak of θ.

    Args:
        rule: any rule. One whose probe is θ comes back as it is.

    Returns:
        The rule; the same object for the same rule. Its output is evaluated at θ.

    State: the rule's, and theta (θ), shaped like the parameter. Before the first step it is the
        parameter itself, as is every probe.
    """
    if rule.probe is at_param:
        return rule

    def init(param: Tensor) -> State:
        return with_entries(rule, rule.init(param), {"theta": param.detach().clone()})

    def around(update: Update) -> Update:
        def step(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
            theta, new = update(*_see_theta(param, grad, state, hyper))
            return rule.probe(theta, new, hyper), {**new, "theta": theta}

        return step

    def output(param: Tensor, state: State, hyper: Hyper) -> Tensor:
        return rule.output(state["theta"], state, hyper)

    return wrap(rule, _see_theta, around, init=init, probe=at_param, output=output)


def _see_theta(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Inputs:
    return state["theta"], grad, state, hyper
