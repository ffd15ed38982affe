"""`loss.backward()`, told to those who watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

Hear = Callable[[Tensor], None]

_hearing: list[Hear] = []
_put_back: list[Callable[[], None]] = []


@contextmanager
def told_of_backward(hear: Hear) -> Iterator[None]:
    """Within it `hear(loss)` is called before `loss.backward()` runs.

    `torch.Tensor.backward` is replaced once for all who hear, and put back when the last of them
    leaves, in whatever order they do.
    """
    if not _hearing:
        _replace()
    _hearing.append(hear)
    try:
        yield
    finally:
        _hearing.remove(hear)
        if not _hearing:
            _put_back.pop()()


def _replace() -> None:
    original = torch.Tensor.backward

    def backward(loss: Tensor, *args: Any, **kwargs: Any) -> None:
        for hear in tuple(_hearing):
            hear(loss)
        original(loss, *args, **kwargs)  # type: ignore[no-untyped-call]

    torch.Tensor.backward = backward  # type: ignore[method-assign, assignment]
    _put_back.append(lambda: setattr(torch.Tensor, "backward", original))
