"""One pass over memory: a traced function cut into what is scalar and what is not.

An update mixes operators on whole parameters with operators on 0-D tensors: 1 - ρ₂ᵗ, a rate with its
decay, a count of steps. The scalar part runs once a step, in float64. What the other part needs of it
enters in the dtype of the parameter: float64 numbers inside a loop over float32 cost 25%.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from ravine.engines.compiling import Function, lower, trace

aten = torch.ops.aten

Blocks = Sequence[Tensor]
Results = tuple[Sequence[Tensor | None], Sequence[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Kernel:
    """A function of blocks, counts and hyperparameters, in two parts.

    Attributes:
        prologue: (*counts, *hyper) -> the scalars that `body` needs. Writes the new counts.
        body: (*blocks, *scalars) -> the other results. Writes the new blocks.
    """

    prologue: Function
    body: Function


def make_kernel(
    function: Callable[[Blocks, Blocks, Blocks], Results],
    blocks: Blocks,
    counts: Sequence[Tensor],
    hyper: Sequence[Tensor],
    *,
    dynamic: bool,
    compiled: bool,
) -> Kernel:
    """Trace a function and cut it in two.

    Args:
        function: (blocks, counts, hyper) -> the new blocks, None where one stays as it is; the new
            counts, which may depend on counts and hyperparameters only; and other results.
        blocks: examples. Inductor spreads loops over threads if they are long in the example.
        counts: 0-D examples.
        hyper: 0-D examples.
        dynamic: whether blocks of later calls may have other sizes (as many axes they must have).
        compiled: compile both parts, else run their graphs as they are.
    """
    many, few = len(blocks), len(counts)

    def flat(*inputs: Tensor) -> list[Tensor | None]:
        new_blocks, new_counts, others = function(
            inputs[:many], inputs[many : many + few], inputs[many + few :]
        )
        return [*new_blocks, *new_counts, *others]

    graph = trace(flat, (*blocks, *counts, *hyper), "symbolic" if dynamic else "fake")
    assert isinstance(graph, GraphModule)
    parts = _Parts(graph, many, few, _compute_dtype(blocks[0].dtype))
    make: Callable[[GraphModule], Function] = _compile if compiled else (lambda graph: graph)
    return Kernel(make(parts.prologue()), make(parts.body()))


def _compile(graph: GraphModule) -> Function:
    return lower(graph, [n.meta["val"] for n in graph.graph.nodes if n.op == "placeholder"])


def _compute_dtype(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype == torch.float64 else torch.float32


class _Parts:
    """A traced graph, its nodes told apart.

    Args:
        graph: blocks first, then counts and hyperparameters; its output is a list.
        blocks: how many of the inputs are blocks.
        counts: how many of them are counts.
        dtype: what a float is turned into where it enters the body.
    """

    def __init__(self, graph: GraphModule, blocks: int, counts: int, dtype: torch.dtype):
        self._graph = graph
        self._dtype = dtype
        self._nodes = list(graph.graph.nodes)
        inputs = [node for node in self._nodes if node.op == "placeholder"]
        (results,) = self._nodes[-1].args
        self._blocks, self._scalars = inputs[:blocks], inputs[blocks:]
        self._counts = self._scalars[:counts]
        self._new_blocks, self._new_counts = results[:blocks], results[blocks : blocks + counts]
        self._others = results[blocks + counts :]
        self._scalar = self._find_scalars()
        self._divided = {node for node in self._nodes if self._divides_by_scalar(node)}
        self._entering = self._crossing()

    def _find_scalars(self) -> set[Node]:
        """Nodes that are 0-D and made from 0-D nodes and constants alone."""
        found = set(self._scalars)
        for node in self._nodes:
            if node.op == "output" or node in self._blocks or node in found:
                continue
            value = node.meta.get("val")
            constant = node.op == "get_attr" and getattr(self._graph, str(node.target)).ndim == 0
            made = isinstance(value, Tensor) and value.ndim == 0
            if constant or (made and all(n in found for n in node.all_input_nodes)):
                found.add(node)
        return found

    def _divides_by_scalar(self, node: Node) -> bool:
        """Whether a multiplication by the inverse can take its place, several times as fast."""
        if node.target is not aten.div.Tensor or node in self._scalar:
            return False
        return node.args[1] in self._scalar

    def _crossing(self) -> list[tuple[Node, bool]]:
        """The scalars that the body needs, each with whether its inverse is meant."""
        crossing: dict[tuple[Node, bool], None] = {}
        for node in self._nodes:
            if node in self._scalar or node.op == "output":
                continue
            for given in node.all_input_nodes:
                if given in self._scalar:
                    crossing[given, node in self._divided and given is node.args[1]] = None
        return list(crossing)

    def prologue(self) -> GraphModule:
        """The graph of the scalars."""
        graph = Graph()
        copied: dict[Node, Node] = {}
        for node in (n for n in self._nodes if n in self._scalar):
            copied[node] = graph.node_copy(node, copied.__getitem__)
        entering = []
        for node, inverse in self._entering:
            value = copied[node]
            if inverse:
                value = graph.call_function(aten.reciprocal.default, (value,))
            if node.meta["val"].is_floating_point():
                value = graph.call_function(aten._to_copy.default, (value,), {"dtype": self._dtype})
            entering.append(value)
        _write(graph, copied, zip(self._counts, self._new_counts, strict=True))
        graph.output(entering)
        return GraphModule(self._graph, graph)

    def body(self) -> GraphModule:
        """The graph of the blocks; its inputs are the blocks and the scalars that enter."""
        graph = Graph()
        copied = {node: graph.node_copy(node) for node in self._blocks}
        entered = {key: self._entrance(graph, key[0]) for key in self._entering}
        for node in self._nodes:
            if node in self._scalar or node in copied or node.op == "output":
                continue
            copied[node] = self._copy(graph, node, copied, entered)
        _write(graph, copied, zip(self._blocks, self._new_blocks, strict=True))
        graph.output([copied[node] for node in self._others])
        return GraphModule(self._graph, graph)

    def _entrance(self, graph: Graph, node: Node) -> Node:
        placeholder = graph.placeholder(node.name)
        value = node.meta["val"]
        placeholder.meta["val"] = value.to(self._dtype) if value.is_floating_point() else value
        return placeholder

    def _copy(
        self,
        graph: Graph,
        node: Node,
        copied: dict[Node, Node],
        entered: dict[tuple[Node, bool], Node],
    ) -> Node:
        def find(given: Node) -> Node:
            return entered[given, False] if given in self._scalar else copied[given]

        if node in self._divided:
            block, divisor = node.args
            assert isinstance(block, Node)
            assert isinstance(divisor, Node)
            return graph.call_function(aten.mul.Tensor, (find(block), entered[divisor, True]))
        return graph.node_copy(node, find)


def _write(graph: Graph, copied: dict[Node, Node], pairs: Any) -> None:
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
