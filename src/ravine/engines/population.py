"""Run one rule for a population: a leading member axis, everything else as for one member."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from ravine.engines.graphs.compiling import Compiled, trace
from ravine.engines.graphs.rewriting import keep_what_is_broadcast
from ravine.rules import Hyper, Rule, State
from ravine.rules._rule import Update
from ravine.transforms import at_probe

Advance = Callable[[Tensor, Tensor, State, Hyper], None]
"""(weights, grads, state, hyper), which writes the step into weights and state."""


@dataclass(frozen=True)
class Kernels:
    """Compiled steps, made when they are first needed.

    Attributes:
        options: of inductor.
        made: steps by what they are for.
        lock: held while one is made: several engines may share kernels, each in a thread of its own.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    made: dict[Any, Advance] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def kernel(self, key: Any, make: Callable[[], Advance]) -> Advance:
        """The step of this key."""
        if key not in self.made:
            with self.lock:
                if key not in self.made:
                    self.made[key] = make()
        return self.made[key]


@dataclass(frozen=True)
class Piece:
    """Columns of the weights that the rule sees at once.

    Attributes:
        columns: where they are.
        shape: the parameter's own shape; None where the rule does not care.
        state: entries [members, ...], counts among them [members, 1].
        counts: names of the counts.
    """

    columns: slice
    shape: torch.Size | None
    state: State
    counts: frozenset[str]

    def counts_of_one(self) -> State:
        """The first member's counts, 0-D; the others have taken as many steps."""
        return {name: self.state[name][0, 0] for name in self.counts}


class PopulationEngine:
    """One rule applied to the flat weights of several members at once.

    An elementwise rule sees all weights of all members as one tensor; a tensor rule one parameter of
    all members at a time, [members, n]; a matrix rule each parameter in its own shape, by vmap.

    For a rule with a probe (Nesterov) the weights are the probe, and θ is in the state.

    Args:
        rule: the rule.
        hyper: one mapping of hyperparameters per member.
        weights: the members' weights, [members, size]; stepped in place.
        shapes: of the parameters that lie in the weights end to end.
        state: a state to continue from; None at the start.
    """

    def __init__(
        self,
        rule: Rule,
        hyper: Sequence[Mapping[str, float]],
        weights: Tensor,
        shapes: Sequence[torch.Size],
        state: State | None = None,
    ):
        self._rule = at_probe(rule)
        self.weights = weights
        # bfloat16 would turn ρ₂ = 0.999 into 1.
        dtype = torch.promote_types(weights.dtype, torch.float32)
        self._hyper = {
            name: torch.tensor([[h[name]] for h in hyper], dtype=dtype, device=weights.device)
            for name in rule.defaults
        }
        self._pieces = [
            self._piece(index, columns, shape, state)
            for index, (columns, shape) in enumerate(_layout(rule, weights.shape[1], shapes))
        ]

    @property
    def state(self) -> State:
        """What the rule remembers, entries [members, ...] by piece and name."""
        return {
            f"{index}.{name}": entry
            for index, piece in enumerate(self._pieces)
            for name, entry in piece.state.items()
        }

    def set(self, name: str, values: Sequence[float]) -> None:
        """Give a hyperparameter another value for each member, from the next step on."""
        old = self._hyper[name]
        self._hyper[name] = torch.tensor(values, dtype=old.dtype, device=old.device)[:, None]

    def step(self, grads: Tensor, kernels: Kernels | None = None) -> None:
        """One update of all members, in place.

        Args:
            grads: gradients taken at the weights, [members, size].
            kernels: compiled steps made so far, to which new ones are added; they serve other
                members of the same model, as many as these. None runs the rule as it is.
        """
        hyper = self._with_totals(grads)
        for index, piece in enumerate(self._pieces):
            update = self._rule.update_for(piece.counts_of_one())
            advance = _advance(update, piece)
            inputs = (self.weights[:, piece.columns], grads[:, piece.columns], piece.state, hyper)
            if kernels is None:
                advance(*inputs)
                continue
            key = (update, index, len(self.weights))
            make = partial(_made_fast, advance, piece, inputs, kernels.options)
            kernels.kernel(key, make)(*inputs)

    def output(self) -> Tensor:
        """The weights to evaluate, [members, size]."""
        parts = []
        for piece in self._pieces:
            weights = self.weights[:, piece.columns]
            output = _over_members(self._rule.output, piece)(weights, piece.state, self._hyper)
            parts.append(output.reshape(weights.shape))
        return torch.cat(parts, dim=1)

    def _with_totals(self, grads: Tensor) -> dict[str, Tensor]:
        hyper = dict(self._hyper)
        for name, summand in self._rule.totals.items():
            parts = []
            for piece in self._pieces:
                of_members = _over_members(summand, piece)
                weights, gradient = self.weights[:, piece.columns], grads[:, piece.columns]
                terms = of_members(weights, gradient, piece.state, hyper)
                parts.append(terms.reshape(len(weights), -1).sum(dim=1, keepdim=True))
            hyper[name] = torch.stack(parts).sum(dim=0)
        return hyper

    def _piece(
        self, index: int, columns: slice, shape: torch.Size | None, state: State | None
    ) -> Piece:
        rows = self.weights[:, columns]
        fresh = [self._rule.init(row if shape is None else row.reshape(shape)) for row in rows]
        counts = frozenset(name for name, entry in fresh[0].items() if entry.ndim == 0)
        if state is not None:
            prefix = f"{index}."
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            return Piece(columns, shape, own, counts)
        stacked = {name: torch.stack([entries[name] for entries in fresh]) for name in fresh[0]}
        own = {name: e[:, None] if name in counts else e for name, e in stacked.items()}
        return Piece(columns, shape, own, counts)


def _layout(
    rule: Rule, size: int, shapes: Sequence[torch.Size]
) -> list[tuple[slice, torch.Size | None]]:
    """The columns that the rule sees at once, each with the shape it sees them in."""
    if rule.granularity == "elementwise":
        return [(slice(0, size), None)]
    ends = list(accumulate(shape.numel() for shape in shapes))
    columns = [slice(end - shape.numel(), end) for end, shape in zip(ends, shapes, strict=True)]
    if rule.granularity == "tensor":
        return [(column, None) for column in columns]
    seen = [shape or torch.Size([1]) for shape in shapes]
    return list(zip(columns, seen, strict=True))


def _over_members(function: Callable[..., Any], piece: Piece) -> Callable[..., Any]:
    """A function of parameters, state and hyperparameters for all members' flat ones.

    Where the rule does not care for shapes, that is the function itself, since it broadcasts.
    """
    if piece.shape is None:
        return function
    shape = piece.shape

    def mapped(*inputs: Any) -> Any:
        *flat, state, hyper = inputs
        shaped = [tensor.reshape(len(tensor), *shape) for tensor in flat]
        alone = {name: e[:, 0] if name in piece.counts else e for name, e in state.items()}
        settings = {name: value[:, 0] for name, value in hyper.items()}
        return torch.vmap(function)(*shaped, alone, settings)

    return mapped


def _advance(update: Update, piece: Piece) -> Advance:
    """An update in place: weights and state are overwritten."""
    of_members = _over_members(update, piece)

    def advance(weights: Tensor, grads: Tensor, state: State, hyper: Hyper) -> None:
        new_weights, new_state = of_members(weights, grads, state, hyper)
        weights.copy_(new_weights.reshape(weights.shape))
        for name, value in new_state.items():
            state[name].copy_(value.reshape(state[name].shape))

    return advance


def _made_fast(
    advance: Advance, piece: Piece, inputs: tuple[Any, ...], options: Mapping[str, Any]
) -> Advance:
    """The step compiled, or, for a matrix rule, traced; nothing is run."""
    if piece.shape is None:
        return Compiled(advance, inputs, True, [keep_what_is_broadcast], options)
    return trace(advance, inputs, "fake")
