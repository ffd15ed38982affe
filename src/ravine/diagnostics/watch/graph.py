"""The autograd graph of a loss, and what its operations keep for derivatives: read, not touched."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from ravine.diagnostics.look import Look

DEPTH = 16
"""Operations that are looked at from the loss towards the output."""

MOST = 5000
"""Operations of a graph that are looked at in all: 5 ms on a CPU. A transformer of 12 blocks has
about 500, an unrolled GRU 9 a time step."""


def kept(node: Any, name: str) -> Tensor | None:
    """A tensor that an operation keeps, "result", "self", "target"; None if it has none, if it was
    changed or freed since, or if asking for it would run hooks, as in checkpointed parts."""
    raw = getattr(node, f"_raw_saved_{name}", None)
    if raw is None or getattr(raw, "unpack_hook", None) is not None:
        return None
    try:
        value = getattr(node, f"_saved_{name}")
    except RuntimeError:
        return None
    return value.detach() if isinstance(value, Tensor) else None


def towards_output(look: Look) -> Iterator[Any]:
    """The operations from the loss to the one that made the output, that one included."""
    last = None if look.output is None else look.output.grad_fn
    node: Any = look.loss.grad_fn
    for _ in range(DEPTH):
        if node is None:
            return
        yield node
        if node is last or not node.next_functions:
            return
        node = next((n for n, _ in node.next_functions if n is not None), None)


def operations(loss: Tensor) -> list[Any]:
    """Operations that a loss depends on, in the order in which they were run."""
    first: Any = loss.grad_fn
    if first is None:
        return []
    seen: set[Any] = {first}
    waiting: deque[Any] = deque([first])
    while waiting and len(seen) < MOST:
        for node, _ in waiting.popleft().next_functions:
            if node is not None and node not in seen:
                seen.add(node)
                waiting.append(node)
    run = [node for node in seen if node.next_functions]
    return sorted(run, key=lambda node: int(node._sequence_nr()))


def kind(node: Any) -> str:
    """torch's name of an operation, without "Backward" and its number: "Relu", "LogSoftmax"."""
    return type(node).__name__.rstrip("0123456789").removesuffix("Backward")
