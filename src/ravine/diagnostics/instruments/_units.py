"""Which axis of an output counts the units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import (
    _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd,
    _AvgPoolNd,
    _MaxPoolNd,
)

from ravine.diagnostics.look import Layer

CHANNELS_SECOND = (
    *(_ConvNd, _NormBase, nn.GroupNorm),
    *(_MaxPoolNd, _AvgPoolNd, _AdaptiveMaxPoolNd, _AdaptiveAvgPoolNd),
)
"""Of [batch, channels, ...]."""
FEATURES_LAST = (nn.Linear, nn.Bilinear, nn.Embedding, nn.LayerNorm, nn.RMSNorm, nn.RNNBase)
"""Of [batch, ..., features]."""


def unit_axes(layers: Sequence[Layer]) -> list[int]:
    """The axis of units in each layer's output.

    An activation does not say what its axes are: it keeps those of the last layer before it that
    does. Before there is one, a tensor of four axes or more is taken for an image.
    """
    axes = []
    known: int | None = None
    for layer in layers:
        if isinstance(layer.module, CHANNELS_SECOND):
            known = 1
        elif isinstance(layer.module, FEATURES_LAST):
            known = -1
        ndim = layer.output.ndim
        axis = known if known is not None else usual_axis(ndim)
        axes.append(axis if axis < ndim else -1)
    return axes


def usual_axis(ndim: int) -> int:
    """The second axis of an image, the last one of anything else."""
    return 1 if ndim >= 4 else -1


def others(ndim: int, axis: int) -> list[int]:
    """All axes but one."""
    return [a for a in range(ndim) if a != axis % ndim]


def kind_among(module: nn.Module, kinds: Iterable[type[nn.Module]]) -> type[nn.Module] | None:
    """The first of the kinds that a module is of."""
    return next((kind for kind in kinds if isinstance(module, kind)), None)
