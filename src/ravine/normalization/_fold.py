"""Batch norms taken into the weights of the layers before them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.fx import Graph, Node, Tracer
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ravine.errors import SettingError
from ravine.normalization._layers import batch_norms, entering

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, *CONVOLUTIONS, *TRANSPOSED)
PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

Layer = nn.Linear | nn.modules.conv._ConvNd


@dataclass(frozen=True)
class Folded:
    """A model for evaluation, and what became of its batch norms.

    Attributes:
        model: a copy in evaluation form, in which `nn.Identity` stands for what was folded.
        folded: batch norm -> the layer that took it in, by their names.
        kept: batch norm -> why it was not folded.
    """

    model: nn.Module
    folded: dict[str, str]
    kept: dict[str, str]


def fold(model: nn.Module) -> Folded:
    r"""A copy of a model in evaluation form, with batch norms folded into the layers before them.

        W' = W γ/√(σ² + δ)      b' = (b - μ) γ/√(σ² + δ) + β      per output channel

    That is the evaluation form of a batch norm whose input comes from a linear layer, a convolution
    or a transposed one, used by nothing else; the outputs are the same up to rounding. The model's
    class, its other modules and their names stay. Which layer comes before which is seen by
    torch.fx; a model whose forward it cannot trace (steps that depend on the values in tensors)
    keeps all.

    A layer that took in a batch norm takes batches of the shape that the batch norm took: a linear
    one [examples, features] alone, for of [examples, a, b] its batch norm would have normalized a.

    torch.fx.experimental.optimization.fuse does less: it leaves transposed convolutions, folds
    layers that are used twice, and computes other outputs for a linear layer on [examples, a, a].

    Args:
        model: with the running statistics that are to be folded in; it is left as it is.

    Source: torch.nn.utils.fusion; Jacob et al., "Quantization and Training of Neural Networks for
        Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2.
    """
    copy = deepcopy(model).eval()
    names = batch_norms(copy)
    try:
        graph = _Calls().trace(deepcopy(copy))  # a copy, for a model may keep what it computes
    except Exception as error:
        reason = f"the model cannot be traced: {type(error).__name__}: {error}"
        return Folded(copy, {}, dict.fromkeys(names, reason))
    folded, kept = {}, {}
    for name, norm in names.items():
        found = _layer_before(name, norm, graph, copy)
        if isinstance(found, Node):
            folded[name] = str(found.target)
        else:
            kept[name] = found
    for name, before in folded.items():
        _take_in(copy, before, name)
    return Folded(copy, folded, kept)


class _Calls(Tracer):
    """Calls of batch norms stay calls, also of classes outside of torch.nn."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a call is not looked into."""
        return isinstance(m, BatchNorm) or super().is_leaf_module(m, module_qualified_name)


def _layer_before(name: str, norm: BatchNorm, graph: Graph, model: nn.Module) -> Node | str:
    """The one call of the layer that can take in a batch norm, or why there is none."""
    if type(norm) not in PLAIN or _has_hooks(norm):
        return f"it is a {type(norm).__name__} that may do more than normalize"
    if norm.running_mean is None:
        return "it keeps no running statistics"
    calls = _uses(graph, name)
    if len(calls) != 1 or calls[0].op != "call_module":
        return f"it is used {len(calls)} times" if len(calls) != 1 else "its attributes are used"
    before = calls[0].args[0] if calls[0].args else None
    if not isinstance(before, Node) or before.op != "call_module":
        return f"what comes before is no layer but {_said(before)}"
    layer = model.get_submodule(str(before.target))
    if type(layer) not in LAYERS or _has_hooks(layer):
        return f"what comes before is {before.target}, a {type(layer).__name__}"
    if len(before.users) > 1 or len(_uses(graph, str(before.target))) > 1:
        return f"{before.target}, which comes before, is used elsewhere, too"
    if _channels(layer) != norm.num_features:
        return f"{before.target}, which comes before, has {_channels(layer)} channels"
    return before


def _uses(graph: Graph, name: str) -> list[Node]:
    """Calls of a module, and readings of its attributes."""
    return [
        node
        for node in graph.nodes
        if (node.op == "call_module" and node.target == name)
        or (node.op == "get_attr" and str(node.target).startswith(f"{name}."))
    ]


def _take_in(model: nn.Module, before: str, name: str) -> None:
    layer, norm = model.get_submodule(before), model.get_submodule(name)
    assert isinstance(layer, Layer)
    assert isinstance(norm, BatchNorm)
    layer.weight, layer.bias = _folded(layer, norm)
    layer.register_forward_pre_hook(_refuse_other_axes, with_kwargs=True)
    for place, module in [*model.named_modules(remove_duplicate=False)]:
        if module is norm:
            model.set_submodule(place, nn.Identity())


def _folded(layer: Layer, norm: BatchNorm) -> tuple[nn.Parameter, nn.Parameter]:
    """The new weight and bias."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    if not isinstance(layer, TRANSPOSED):
        return fuse_conv_bn_weights(layer.weight, layer.bias, *statistics)
    # Its weight is [in, out / groups, ...], of which torch folds one group: [in / groups, out, ...].
    groups = layer.groups
    apart = layer.weight.reshape(groups, -1, *layer.weight.shape[1:]).transpose(0, 1)
    weight, bias = fuse_conv_bn_weights(apart.flatten(1, 2), layer.bias, *statistics, True)
    back = weight.reshape(apart.shape).transpose(0, 1).flatten(0, 1)
    return nn.Parameter(back.detach().contiguous(), layer.weight.requires_grad), bias


def _refuse_other_axes(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A weight has as many axes as the batches that its batch norm took; see `fold`."""
    assert isinstance(layer.weight, Tensor)
    H = entering(args, kwargs)
    if H.ndim != layer.weight.ndim:
        raise SettingError(
            f"a {type(layer).__name__} with a batch norm folded into it got inputs "
            f"{list(H.shape)}, and takes {layer.weight.ndim} axes: batches [examples, "
            "channels, ...]; evaluate the model that was not folded."
        )


def _channels(layer: nn.Module) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else int(layer.out_channels)  # type: ignore[arg-type]


def _has_hooks(module: nn.Module) -> bool:
    """Hooks see or change what goes in or comes out, as those of weight_norm do."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _said(before: Any) -> str:
    return f"{before.op} {before.target}" if isinstance(before, Node) else repr(before)
