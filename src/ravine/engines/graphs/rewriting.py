"""Graphs rewritten into equal ones that inductor makes faster."""

from __future__ import annotations

from torch import Tensor, ops
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.node import Argument

aten = ops.aten

NARROW = 16
"""Columns of a product, float32 in a vector register, below which the transposed product is taken."""


def turn_narrow_products(graph: GraphModule) -> None:
    """Take (BᵀAᵀ)ᵀ for AB [members, m, n] where n < 16 ≤ m, on the CPU.

    MKL fills its registers along the last axis: [16, 32, 784] times [16, 784, 10] takes 17 us a
    member, the transposed product 9 us.
    """
    for node in graph.graph.find_nodes(op="call_function", target=aten.bmm.default):
        rows, columns = node.meta["val"].shape[1:]
        if node.meta["val"].device.type != "cpu" or not columns < NARROW <= rows:
            continue
        with graph.graph.inserting_before(node):
            turned = [_transposed(graph, factor) for factor in reversed(node.args)]
            product = graph.graph.call_function(aten.bmm.default, tuple(turned))
            node.replace_all_uses_with(_transposed(graph, product))
        graph.graph.erase_node(node)
    graph.recompile()


def keep_what_is_broadcast(graph: GraphModule) -> None:
    """Make inductor compute once what it would compute anew for every element.

    It inlines elementwise operators into the loops that use them: a bias correction 1 - ρᵗ, [members,
    1], would then cost a power for every vector of weights, which takes twice as long as the whole
    rest of a step of Adam. A node that the graph returns is written to memory instead, and read.
    """
    (output,) = graph.graph.find_nodes(op="output")
    kept = [node for node in graph.graph.nodes if _is_broadcast(node)]
    output.args = ([*output.args[0], *kept],)
    graph.recompile()


def _transposed(graph: GraphModule, node: Argument) -> Node:
    return graph.graph.call_function(aten.transpose.int, (node, 1, 2))


def _is_broadcast(node: Node) -> bool:
    """Whether an operator's results, one a row, are used for every element of a row."""
    if not isinstance(node.target, OpOverload) or node.target.is_view or not _one_per_row(node):
        return False
    return any(user.op == "call_function" and not _one_per_row(user) for user in node.users)


def _one_per_row(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape[-1] == 1
