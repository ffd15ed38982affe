"""Which activation follows a layer, where that can be seen without running the model."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.pooling import _AvgPoolNd, _MaxPoolNd


@final
@dataclass(frozen=True)
class Activation:
    """An activation by the name that `torch.nn.init.calculate_gain` knows it by."""

    name: str
    slope: float | None = None

    @property
    def gain(self) -> float:
        """torch's recommended factor: relu √2, leaky_relu √(2/(1+slope²)), tanh 5/3, selu 3/4."""
        return float(nn.init.calculate_gain(self.name, self.slope))  # type: ignore[arg-type]


_MODULES = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.SELU: "selu"}
_FUNCTIONS = frozenset({"relu", "tanh", "sigmoid", "selu"})
_PASSED = (
    *(_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _DropoutNd, _MaxPoolNd, _AvgPoolNd),
    *(nn.Identity, nn.Flatten, nn.Unflatten),
)
"""Between a layer and its activation these are looked through."""
_PASSED_FUNCTIONS = frozenset({"flatten", "view", "reshape", "dropout"})


def activations_after(model: nn.Module) -> dict[str, Activation]:
    """The activation that follows, by the name of the layer, for all layers where it can be seen.

    Normalization, dropout, pooling and reshaping in between are looked through. A layer whose output
    goes to several places, or whose calls are followed by different things, is left out.

    What `torch.fx` can trace is seen, functions such as `F.relu` too. In a module that it cannot
    trace (a branch on values), its children are looked at one by one, and a Sequential's in a row.
    Inside of torch's own transformer and recurrent layers nothing is seen.
    """
    return _find(_without_memory(model), "")


def _without_memory(model: nn.Module) -> nn.Module:
    """A copy on the meta device: tracing runs `forward`, which may write into the module."""
    tensors = [*model.parameters(), *model.buffers()]
    memo: dict[int, Any] = {id(t): t.detach().to("meta") for t in tensors}
    for param in model.parameters():
        memo[id(param)] = nn.Parameter(memo[id(param)], requires_grad=False)
    try:
        copied = copy.deepcopy(model, memo)
    except Exception:  # a module that cannot be copied cannot be looked into
        return nn.Identity()
    for module in copied.modules():  # hooks may write elsewhere
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return copied


def _find(module: nn.Module, prefix: str) -> dict[str, Activation]:
    graph = _traced(module)
    if graph is not None:
        return {f"{prefix}{name}": found for name, found in _in_graph(module, graph).items()}
    found: dict[str, Activation] = {}
    for name, child in module.named_children():
        found |= _find(child, f"{prefix}{name}.")
    if isinstance(module, nn.Sequential):
        found |= {f"{prefix}{name}": after for name, after in _in_a_row(module).items()}
    return found


def _traced(module: nn.Module) -> fx.Graph | None:
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            return fx.Tracer().trace(module)
    except Exception:  # forward is the user's: tracing may fail in any way
        return None


def _in_graph(module: nn.Module, graph: fx.Graph) -> dict[str, Activation]:
    modules = dict(module.named_modules())
    after: dict[str, set[Activation | None]] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            after.setdefault(str(node.target), set()).add(_after_node(node, modules))
    agreed = {name: next(iter(kinds)) for name, kinds in after.items() if len(kinds) == 1}
    return {name: found for name, found in agreed.items() if found is not None}


def _after_node(node: fx.Node, modules: dict[str, nn.Module]) -> Activation | None:
    while len(node.users) == 1:
        node = next(iter(node.users))
        if node.op == "call_module":
            module = modules[str(node.target)]
            if not isinstance(module, _PASSED):
                return _of_module(module)
        elif node.op in ("call_function", "call_method"):
            name = getattr(node.target, "__name__", str(node.target))  # a method's is a string
            if name not in _PASSED_FUNCTIONS:
                return _of_function(name.rstrip("_"), node)
        else:
            return None
    return None


def _in_a_row(sequence: nn.Sequential) -> dict[str, Activation]:
    """Layers directly in a Sequential, each with what follows it there."""
    kept = [(n, m) for n, m in sequence.named_children() if not isinstance(m, _PASSED)]
    after = {name: _of_module(following) for (name, _), (_, following) in pairwise(kept)}
    return {name: found for name, found in after.items() if found is not None}


def _of_module(module: nn.Module) -> Activation | None:
    if isinstance(module, nn.LeakyReLU):
        return Activation("leaky_relu", module.negative_slope)
    name = next((name for kind, name in _MODULES.items() if isinstance(module, kind)), None)
    return None if name is None else Activation(name)


def _of_function(name: str, node: fx.Node) -> Activation | None:
    if name == "leaky_relu":
        slope = node.kwargs.get("negative_slope", node.args[1] if len(node.args) > 1 else 0.01)
        return Activation("leaky_relu", slope) if isinstance(slope, float | int) else None
    return Activation(name) if name in _FUNCTIONS else None
