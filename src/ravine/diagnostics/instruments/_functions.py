"""Activations that a model calls as functions: no hook hears of them, but the loss's graph has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import nn

from ravine.diagnostics.look import Layer, Look
from ravine.diagnostics.watch.graph import kept, kind, operations

STAND_INS = {"Relu": nn.ReLU(), "Tanh": nn.Tanh(), "Sigmoid": nn.Sigmoid()}
"""torch's name of an operation -> the module that does the same. Those that keep what they return."""

UNROLLED = (nn.RNNBase, nn.RNNCellBase)
"""Modules whose operations are in the graph one by one, gate by gate."""


def with_functions(look: Look) -> list[Layer]:
    """The layers of a look, and in their order of execution the activations between them that are no
    modules, named "relu after conv1"."""
    own = {layer.output.grad_fn for layer in look.layers}
    nodes = [n for n in operations(look.loss) if kind(n) in STAND_INS and n not in own]
    return _merged(look.layers, nodes) if nodes else list(look.layers)


def _merged(layers: Sequence[Layer], nodes: Sequence[Any]) -> list[Layer]:
    found: list[Layer] = []
    uses: Counter[str] = Counter()
    waiting = list(nodes)
    for layer in layers:
        made = layer.output.grad_fn
        until = -1 if made is None else int(made._sequence_nr())
        before = [node for node in waiting if node._sequence_nr() < until]
        if not isinstance(layer.module, UNROLLED):
            found += _named(before, found, uses)
        waiting = waiting[len(before) :]
        found.append(layer)
    return found + _named(waiting, found, uses)


def _named(nodes: Sequence[Any], before: Sequence[Layer], uses: Counter[str]) -> list[Layer]:
    made = []
    modules = [la.name for la in before if la.module not in STAND_INS.values()]
    for node in nodes:
        result = kept(node, "result")
        if result is not None:
            name = kind(node).lower() + (f" after {modules[-1]}" if modules else "")
            uses[name] += 1
            shown = name if uses[name] == 1 else f"{name}#{uses[name]}"
            made.append(Layer(shown, STAND_INS[kind(node)], None, result))
    return made
