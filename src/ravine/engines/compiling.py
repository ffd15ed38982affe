"""Compile a function of tensors whole, or run it as it is where there is no C++ compiler."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

Function = Callable[..., Any]


def trace(function: Function, example: tuple[Any, ...], dynamic: bool = False) -> Function:
    """The function as one graph of plain operators, without the layers of vmap and grad.

    It is run for real once: what cannot be one graph (`.item()`, a branch on data) raises here, and
    nothing ever falls back to Python in the middle of a step. On 36 members of the digits network
    a graph takes half the time of the function that it was traced from.

    Args:
        function: tensors (nested in lists and dicts) -> tensors. May write to its inputs.
        example: inputs to trace with.
        dynamic: whether sizes may differ in later calls. (vmap bakes sizes in: then False.)
    """
    make = make_fx(function, tracing_mode="symbolic" if dynamic else "real")
    graph: Function = make(*example)
    return graph


class Compiled:
    """A function compiled as one graph, for inputs like those it was traced with.

    Each trace is a code object of its own, so that no rule uses up another one's recompilations, and
    dynamo, which takes 10 s to look through vmap and grad, sees plain operators only (1 s).

    Where the graph cannot be compiled for want of a C++ compiler, a warning is given once per
    process and the traced graph runs uncompiled.

    Args:
        function, example, dynamic: as for `trace`.
    """

    _warned = False

    def __init__(self, function: Function, example: tuple[Any, ...], dynamic: bool):
        self._graph = trace(function, example, dynamic)
        self._call: Function = torch.compile(self._graph, dynamic=dynamic)
        self._proven = False

    def __call__(self, *args: Any) -> Any:
        """Call it; compiled at the first call."""
        if self._proven:
            return self._call(*args)
        try:
            result = self._call(*args)
        except Exception as error:
            if not _lacks_compiler(error):
                raise
            self._warn_once()
            self._call = self._graph
            result = self._call(*args)
        self._proven = True
        return result

    @classmethod
    def _warn_once(cls) -> None:
        if not Compiled._warned:
            Compiled._warned = True
            warnings.warn(
                "no C++ compiler found: training runs uncompiled, several times slower. "
                "Install g++ (Debian: apt-get install g++) or set CXX.",
                RuntimeWarning,
                stacklevel=4,
            )


def _lacks_compiler(error: BaseException | None) -> bool:
    """Whether inductor gave up because no working C++ compiler was found."""
    while error is not None:
        if type(error).__name__ == "InvalidCxxCompiler" or "InvalidCxxCompiler" in str(error):
            return True
        error = error.__cause__
    return False
