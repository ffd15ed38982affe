"""Run one rule for a population: a leading member axis, everything else as for one member."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ravine.engines.compiling import Compiled
from ravine.errors import LaneError
from ravine.rules import Rule, State, at_param

Advance = Callable[[Tensor, Tensor, Tensor, State, dict[str, Tensor]], None]


class PopulationEngine:
    """One elementwise rule applied to the flat weights of several members at once.

    The lane takes gradients at `points`. For a rule without a probe of its own these are the
    weights, in the same memory; for Nesterov they are θ+αv, written anew at the end of each step.

    Args:
        rule: the rule.
        hyper: one mapping of hyperparameters per member.
        points: the members' weights, [members, size]; from now on they hold the next probe.
        state: a state to continue from; None at the start.

    Raises:
        LaneError: the rule looks at more than single elements, which flat weights do not show.
    """

    def __init__(
        self,
        rule: Rule,
        hyper: Sequence[Mapping[str, float]],
        points: Tensor,
        state: State | None = None,
    ):
        if rule.granularity != "elementwise":
            raise LaneError(
                f"{rule.name} works on whole {rule.granularity}s, not on single elements"
            )
        self._rule = rule
        self._hyper = {
            name: torch.tensor([[h[name]] for h in hyper], dtype=points.dtype, device=points.device)
            for name in rule.defaults
        }
        self._points = points
        self.weights = points
        self.state = initial_state(rule, points) if state is None else state
        if rule.probe is not at_param:
            self.weights = points.clone()
            points.copy_(rule.probe(self.weights, self.state, self._hyper))

    def step(self, grads: Tensor, advance: Advance | None = None) -> None:
        """One update of all members, in place.

        Args:
            grads: gradients taken at `points`, [members, size].
            advance: the compiled form of the rule's step, from `compiled`; None runs it as it is.
        """
        step = advance or advance_of(self._rule)
        step(self.weights, self._points, grads, self.state, self._hyper)

    def output(self) -> Tensor:
        """The weights to evaluate, [members, size]."""
        return self._rule.output(self.weights, self.state, self._hyper)

    def compiled(self, grads: Tensor) -> Advance:
        """This rule's step as one kernel, for any number of members; nothing is changed."""
        weights, state = self.weights.clone(), {k: v.clone() for k, v in self.state.items()}
        points = weights if self.weights is self._points else self._points.clone()
        example = (weights, points, grads, state, self._hyper)
        return Compiled(advance_of(self._rule), example, dynamic=True)


def initial_state(rule: Rule, weights: Tensor) -> State:
    """The rule's state for all members, from weights [members, size]; 0-D entries become [members, 1]."""
    members = [rule.init(row) for row in weights]
    return {name: torch.stack([m[name].reshape(-1) for m in members]) for name in members[0]}


def advance_of(rule: Rule) -> Advance:
    """The rule's step in place: weights, points and state are overwritten."""

    def advance(
        weights: Tensor, points: Tensor, grads: Tensor, state: State, hyper: dict[str, Tensor]
    ) -> None:
        new_weights, new_state = rule.update(weights, grads, state, hyper)
        if rule.probe is not at_param:
            points.copy_(rule.probe(new_weights, new_state, hyper))
        weights.copy_(new_weights)
        for name, value in new_state.items():
            state[name].copy_(value)

    return advance
