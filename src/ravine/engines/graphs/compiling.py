"""Compile a function of tensors whole, or run it as it is where there is no C++ compiler."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

Function = Callable[..., Any]
Rewrite = Callable[[GraphModule], None]
Mode = Literal["real", "fake", "symbolic"]

NOTHING_ELSE: Mapping[str, Any] = MappingProxyType({})

OUTSIDE_PYTHON = {"cpp_wrapper": True}
"""Options of a graph that other threads run beside: it lets go of Python's lock while it runs. The
first one on a machine takes 10 s longer to compile, for the headers of torch."""

TRUST_THE_PROCESSOR = {"cpp.vec_isa_ok": True}
"""Take the vector instructions that the processor says it has. Inductor would first build and load a
program for each set of them, which takes 7.5 s of the 10 s that a first kernel takes on two cores."""


def trace(function: Function, example: tuple[Any, ...], mode: Mode = "real") -> Function:
    """The function as one graph of plain operators, without the layers of vmap and grad.

    It is run once: what cannot be one graph (`.item()`, a branch on data) raises here, and nothing
    ever falls back to Python in the middle of a step. On 36 members of the digits network a graph
    takes half the time of the function that it was traced from.

    Args:
        function: tensors (nested in lists and dicts) -> tensors. May write to its inputs.
        example: inputs to trace with.
        mode: "real" runs it on the example, "fake" on tensors without memory, "symbolic" lets sizes
            differ in later calls. (vmap bakes sizes in: then not "symbolic".)
    """
    graph: Function = make_fx(function, tracing_mode=mode)(*example)
    return graph


class Compiled:
    """A function compiled as one graph, for inputs like those it was traced with.

    Args:
        function, example: as for `trace`.
        dynamic: whether sizes may differ in later calls.
        rewrites: what changes the graph before it is compiled.
        options: as for `lower`.
    """

    def __init__(
        self,
        function: Function,
        example: tuple[Any, ...],
        dynamic: bool,
        rewrites: Sequence[Rewrite] = (),
        options: Mapping[str, Any] = NOTHING_ELSE,
    ):
        leaves, arguments = tree_flatten(example)

        def flat(*inputs: Any) -> list[Any]:
            outputs, self._results = tree_flatten(function(*tree_unflatten(inputs, arguments)))
            return outputs

        graph = trace(flat, tuple(leaves), "symbolic" if dynamic else "fake")
        assert isinstance(graph, GraphModule)
        for rewrite in rewrites:
            rewrite(graph)
        inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
        self._call = lower(graph, [n.meta["val"] for n in inputs] if dynamic else leaves, options)

    def __call__(self, *args: Any) -> Any:
        """Call it."""
        outputs = self._call(*_leaves(args))
        count = self._results.num_leaves
        return tree_unflatten(outputs[:count], self._results) if count else None


def _leaves(tree: Any) -> list[Any]:
    """As `tree_flatten(tree)[0]`, for tuples, lists and dicts: 2 us in place of 40."""
    found: list[Any] = []
    for part in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(part, Tensor):
            found.append(part)
        else:
            found += _leaves(part)
    return found


def lower(
    graph: GraphModule, inputs: list[Any], options: Mapping[str, Any] = NOTHING_ELSE
) -> Function:
    """Compile a graph of plain operators; its sizes are dynamic where those of `inputs` are symbols.

    Inductor is called without dynamo in front: a call then takes 11 us instead of 30, nothing is
    guarded, and nothing can be compiled again.

    Where the graph cannot be compiled for want of a C++ compiler, a warning is given once per
    process and the graph runs as it is.

    Args:
        graph: tensors -> tensors; may write to its inputs.
        inputs: tensors, real or fake, to compile for.
        options: of inductor.
    """
    from torch._dynamo.exc import RestartAnalysis  # takes 0.7 s, for those who compile
    from torch._inductor import compile as compile_graph

    error: Exception | None = None
    for more in (TRUST_THE_PROCESSOR, TRUST_THE_PROCESSOR, {}):
        try:
            # it writes to the graph
            compiled: Function = compile_graph(deepcopy(graph), inputs, {**options, **more})
            return compiled
        except RestartAnalysis as restart:  # it has learned which floats are constants
            error = restart
        except Exception as failure:  # the compiler may be too old for the processor
            if _lacks_compiler(failure):
                warn_without_compiler()
                return graph
            error = failure
    assert error is not None
    raise error


@cache
def warn_without_compiler() -> None:
    """Say, once a process, that there is no C++ compiler."""
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
