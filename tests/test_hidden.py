"""What a model's code reaches outside of its modules."""

from __future__ import annotations

import functools

from torch import nn

from ravine import hidden


def counted(memory: list[int], scale: dict[str, float], output, target):
    memory.append(len(memory))
    return (output - target).square().mean() * scale["by"]


def test_what_a_partial_holds_is_seen():
    """`functools.partial` belongs to Python, its arguments are the user's: before and after differ."""
    memory: list[int] = []
    cost = functools.partial(counted, memory, scale={"by": 2.0})
    before = hidden.outside(nn.Linear(1, 1), cost)
    assert before == {"partial.argument 0": [], "partial.scale": {"by": 2.0}}
    memory.append(7)
    assert hidden.outside(nn.Linear(1, 1), cost)["partial.argument 0"] == [7]
    assert before["partial.argument 0"] == []
