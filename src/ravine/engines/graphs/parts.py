"""A traced function of parameters and scalars, its operators told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from ravine.engines.graphs.compiling import trace

aten = torch.ops.aten

Tensors = Sequence[Tensor]
Results = tuple[Sequence[Tensor | None], Tensors, Tensors]
Function = Callable[[Tensors, Tensors, Tensors], Results]
"""(blocks, counts, hyper) -> the new blocks, None where one stays as it is; the new counts, which may
depend on counts and hyperparameters only; and other results."""


def take_apart(
    function: Function, blocks: Tensors, counts: Tensors, hyper: Tensors, dynamic: bool
) -> Parts:
    """Trace a function.

    Args:
        function: what to trace.
        blocks, counts, hyper: examples, no tensor twice.
        dynamic: whether blocks of later calls may have other sizes (as many axes they must have).
    """
    many, few = len(blocks), len(counts)

    def flat(*inputs: Tensor) -> list[Tensor | None]:
        new_blocks, new_counts, others = function(
            inputs[:many], inputs[many : many + few], inputs[many + few :]
        )
        return [*new_blocks, *new_counts, *others]

    graph = trace(flat, (*blocks, *counts, *hyper), "symbolic" if dynamic else "fake")
    assert isinstance(graph, GraphModule)
    return Parts(graph, many, few)


class Parts:
    """A traced graph, its nodes told apart.

    Args:
        graph: blocks first, then counts and hyperparameters; its output is a list.
        blocks: how many of the inputs are blocks.
        counts: how many of them are counts.

    Attributes:
        dtype: what a float is turned into where it enters the body: float64 numbers inside a loop
            over float32 cost 25%.
        scalar: 0-D nodes made from 0-D nodes and constants alone; they are computed once a step.
        divided: divisions of a block by a scalar, for which a product with its inverse will do.
        entering: the scalars that the body needs, each with whether its inverse is meant.
        new_blocks, new_counts: the nodes of the results, None where a block stays as it is.
        others: further results.
    """

    def __init__(self, graph: GraphModule, blocks: int, counts: int):
        self.graph = graph
        self.nodes = list(graph.graph.nodes)
        inputs = [node for node in self.nodes if node.op == "placeholder"]
        self.dtype = _compute_dtype(inputs[0].meta["val"].dtype)
        (results,) = self.nodes[-1].args
        self.blocks, self.scalars = inputs[:blocks], inputs[blocks:]
        self.counts = self.scalars[:counts]
        self.new_blocks, self.new_counts = results[:blocks], results[blocks : blocks + counts]
        self.others = results[blocks + counts :]
        self.scalar = self._find_scalars()
        self.divided = {node for node in self.nodes if self._divides_by_scalar(node)}
        self.entering = self._crossing()

    @property
    def calls_libraries(self) -> bool:
        """Whether it multiplies or decomposes matrices: that takes as long when compiled."""
        return any(str(node.target).startswith(_LIBRARY) for node in self.nodes)

    def _find_scalars(self) -> set[Node]:
        """Nodes that are 0-D and made from 0-D nodes and constants alone."""
        found = set(self.scalars)
        for node in self.nodes:
            if node.op == "output" or node in self.blocks or node in found:
                continue
            value = node.meta.get("val")
            constant = node.op == "get_attr" and getattr(self.graph, str(node.target)).ndim == 0
            made = isinstance(value, Tensor) and value.ndim == 0
            if constant or (made and all(n in found for n in node.all_input_nodes)):
                found.add(node)
        return found

    def _divides_by_scalar(self, node: Node) -> bool:
        """Whether a multiplication by the inverse can take its place, several times as fast."""
        if node.target is not aten.div.Tensor or node in self.scalar:
            return False
        return node.args[1] in self.scalar

    def _crossing(self) -> list[tuple[Node, bool]]:
        """The scalars that the body needs, each with whether its inverse is meant."""
        crossing: dict[tuple[Node, bool], None] = {}
        for node in self.nodes:
            if node in self.scalar or node.op == "output":
                continue
            for given in node.all_input_nodes:
                if given in self.scalar:
                    crossing[given, node in self.divided and given is node.args[1]] = None
        return list(crossing)


_LIBRARY = (
    "aten.mm.",
    "aten.bmm.",
    "aten.addmm.",
    "aten.baddbmm.",
    "aten._linalg",
    "aten.linalg_qr",
)


def _compute_dtype(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype == torch.float64 else torch.float32
