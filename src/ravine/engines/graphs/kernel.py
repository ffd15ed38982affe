"""A traced function as two graphs: the scalars, run once a step, and one pass over memory.

An update mixes operators on whole parameters with operators on 0-D tensors: 1 - ρ₂ᵗ, a rate with its
decay, a count of steps. The scalar part runs in float64, and enters the other part in the dtype of
the parameter.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.fx import Graph, GraphModule, Node

from ravine.engines.graphs.compiling import Function, lower
from ravine.engines.graphs.parts import Parts
from ravine.errors import said

aten = torch.ops.aten


@dataclass(frozen=True)
class Kernel:
    """A function of blocks, counts and hyperparameters, in two parts.

    Attributes:
        prologue: (*counts, *hyper) -> the scalars that `body` needs. Writes the new counts.
        body: (*blocks, *scalars) -> the other results. Writes the new blocks.
    """

    prologue: Function
    body: Function


def make_kernel(parts: Parts, *, compiled: bool) -> Kernel:
    """The two graphs of a traced function, compiled by inductor or as they are.

    Inductor spreads loops over threads if blocks were long in the example that was traced.
    """
    graphs = (prologue_of(parts), body_of(parts))
    prologue, body = map(_compiled, graphs) if compiled else graphs
    return Kernel(prologue, body)


def prologue_of(parts: Parts) -> GraphModule:
    """The graph of the scalars."""
    graph = Graph()
    copied: dict[Node, Node] = {}
    for node in (node for node in parts.nodes if node in parts.scalar):
        copied[node] = graph.node_copy(node, copied.__getitem__)
    entering = []
    for node, inverse in parts.entering:
        value = copied[node]
        if inverse:
            value = graph.call_function(aten.reciprocal.default, (value,))
        if node.meta["val"].is_floating_point():
            value = graph.call_function(aten._to_copy.default, (value,), {"dtype": parts.dtype})
        entering.append(value)
    _write(graph, copied, zip(parts.counts, parts.new_counts, strict=True))
    graph.output(entering)
    return GraphModule(parts.graph, graph)


def body_of(parts: Parts) -> GraphModule:
    """The graph of the blocks; its inputs are the blocks and the scalars that enter."""
    graph = Graph()
    copied = {node: graph.node_copy(node) for node in parts.blocks}
    entered = {key: _entrance(graph, key[0], parts.dtype) for key in parts.entering}

    def find(given: Node) -> Node:
        return entered[given, False] if given in parts.scalar else copied[given]

    for node in parts.nodes:
        if node in parts.scalar or node in copied or node.op == "output":
            continue
        if node in parts.divided:
            block, divisor = node.args
            assert isinstance(block, Node)
            assert isinstance(divisor, Node)
            factors = (find(block), entered[divisor, True])
            copied[node] = graph.call_function(aten.mul.Tensor, factors)
        else:
            copied[node] = graph.node_copy(node, find)
    _write(graph, copied, zip(parts.blocks, parts.new_blocks, strict=True))
    graph.output([copied[node] for node in parts.others])
    return GraphModule(parts.graph, graph)


def _compiled(graph: GraphModule) -> Function:
    """The graph compiled, or as it is where inductor fails on it: a step is worth more than speed."""
    inputs = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
    try:
        return lower(graph, inputs)
    except Exception as error:
        warnings.warn(
            f"an update runs uncompiled, because inductor failed on it: {said(error)[:120]}",
            RuntimeWarning,
            stacklevel=2,
        )
        return graph


def _entrance(graph: Graph, node: Node, dtype: torch.dtype) -> Node:
    placeholder = graph.placeholder(node.name)
    value = node.meta["val"]
    placeholder.meta["val"] = value.to(dtype) if value.is_floating_point() else value
    return placeholder


def _write(
    graph: Graph, copied: dict[Node, Node], pairs: Iterable[tuple[Node, Node | None]]
) -> None:
    """Write new values into inputs; a value that is itself an input is read before any is written."""
    changed = [(old, new) for old, new in pairs if new is not None and new is not old]
    values = [
        _read(graph, copied[new]) if new.op == "placeholder" else copied[new] for _, new in changed
    ]
    for (old, _), value in zip(changed, values, strict=True):
        graph.call_function(aten.copy_.default, (copied[old], value))


def _read(graph: Graph, node: Node) -> Node:
    """A copy that inductor keeps. It drops a clone, and then reads what was written in between."""
    minus = graph.call_function(aten.neg.default, (node,))
    return graph.call_function(aten.neg.default, (minus,))
