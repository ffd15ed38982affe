"""Graphs that are rewritten compute what they computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ravine.engines.graphs.compiling import trace
from ravine.engines.graphs.rewriting import keep_what_is_broadcast, turn_narrow_products

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("rows", "columns", "turned"), [(32, 10, True), (32, 16, False), (8, 10, False)]
)
def test_narrow_products_are_taken_transposed(rows, columns, turned):
    a, b = torch.randn(3, rows, 7).double(), torch.randn(3, 7, columns).double()
    graph = trace(lambda a, b: (a @ b).relu(), (a, b), "fake")
    expected = graph(a, b)
    turn_narrow_products(graph)
    (product,) = graph.graph.find_nodes(op="call_function", target=aten.bmm.default)
    assert (product.args[0].target is aten.transpose.int) is turned
    assert torch.allclose(graph(a, b), expected, rtol=1e-13, atol=1e-13)


def test_what_is_broadcast_is_returned_and_nothing_else():
    """1 - ρᵗ once a row; a view of it, a number for all rows and a whole row are left alone."""

    def corrected(moment: Tensor, rate: Tensor, step: Tensor) -> list[Tensor]:
        power = rate**step
        return [moment / (1 - power) + rate.view(1, 2, 1)[0]]

    moment, rate = torch.rand(2, 5), torch.tensor([[0.9], [0.5]])
    inputs = (moment, rate, torch.tensor([[2.0], [3.0]]))
    graph = trace(corrected, inputs, "symbolic")
    keep_what_is_broadcast(graph)
    found, *kept = graph(*inputs)
    assert torch.allclose(found, moment / torch.tensor([[0.19], [0.875]]) + rate)
    (correction,) = kept
    assert torch.allclose(correction, torch.tensor([[0.19], [0.875]]))
