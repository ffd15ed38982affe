"""Fans: how many products one unit sums, forwards and backwards, in every layer of torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ravine.errors import SettingError


@final
@dataclass(frozen=True)
class Fans:
    """How many products one unit of a layer sums.

    With independent weights of variance v, one output has the variance fan_in · v · E[input²], and
    one input's gradient fan_out · v · E[gradient²]. Not always whole numbers: under a stride, units
    of one layer sum different numbers of products, and the mean counts.

    Attributes:
        fan_in: products weight × input in one output, on the mean over outputs.
        fan_out: products weight × gradient in the gradient of one input, on the mean over inputs.

    Raises:
        SettingError: one of them is not a positive finite number.
    """

    fan_in: float
    fan_out: float

    def __post_init__(self) -> None:
        for name in ("fan_in", "fan_out"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and value > 0):
                raise SettingError(
                    f"{name}={value!r}; expected a positive number of products that a unit sums"
                )


@final
@dataclass(frozen=True)
class Arrangement:
    """How a parameter of a layer is to be drawn.

    Attributes:
        fans: of every block.
        blocks: how many matrices are stacked along the first axis, each drawn by itself: the gates
            of a recurrent layer, the projections of attention, the groups of a convolution.
        transposed: whether a block is [in, out, ...], as in a transposed convolution.
    """

    fans: Fans
    blocks: int = 1
    transposed: bool = False


def fans_of_shape(shape: Sequence[int]) -> Fans:
    """Fans of a weight [out, in, *kernel], as far as its shape alone tells them.

        fan_in = in · ∏ kernel        fan_out = out · ∏ kernel

    torch's `_calculate_fan_in_and_fan_out`. It cannot see groups, strides or transposed layouts:
    `fans_of` does.

    Raises:
        SettingError: fewer than two axes, or an axis without elements.
    """
    if len(shape) < 2 or 0 in shape:
        raise SettingError(
            f"the shape {tuple(shape)} has no fans; expected [out, in, ...] without an empty axis. "
            "Where the layer is known give them: fans=Fans(fan_in, fan_out)"
        )
    field = math.prod(shape[2:])
    return Fans(shape[1] * field, shape[0] * field)


def fans_of(module: nn.Module, parameter_name: str) -> Fans:
    r"""Fans of a layer's parameter; a bias has those of the weight beside it.

        layer                       fan_in                     fan_out
        Linear                      in                         out
        Bilinear                    in₁ in₂                    2 out in₁ in₂ / (in₁ + in₂)
        Conv                        in/groups · ∏k             out/groups · ∏k / ∏stride
        ConvTranspose               in/groups · ∏k / ∏stride   out/groups · ∏k
        Embedding, EmbeddingBag     1                          embedding_dim
        MultiheadAttention          of each projection         embed_dim
        RNN, LSTM, GRU, and cells   of each gate               hidden_size

    Each is a count of products (see `Fans`), far from the borders:

    - Groups: an input reaches out/groups channels only. torch and Keras count all of them.
    - Stride: a convolution reads every window whole, but an input lies in ∏k / ∏stride windows on
      the mean; a transposed convolution is the other way round. torch and Keras do not look at it.
    - Dilation moves the products apart and leaves their number.
    - Padding with zeros takes products away at the borders; that is not counted.
    - Bilinear: an input of the first kind is in out · in₂ products, of the second in out · in₁; both
      inputs are meant to have unit variance.
    - Embedding: a look-up is a product with a one-hot vector, and one term of it is not zero. So
      `lecun_normal` gives embeddings of unit variance, as torch's own. Keras counts num_embeddings.

    Args:
        module: a layer of the table. parameter_name: its name within the layer, e.g. "weight".

    Raises:
        SettingError: the layer or the parameter is none of these.
    """
    arrangement = arrangement_of(module, parameter_name)
    if arrangement is None:
        known = ", ".join(name for name, _ in module.named_parameters(recurse=False)) or "none"
        raise SettingError(
            f"no fans are known for {parameter_name!r} of {type(module).__name__} (its own "
            f"parameters: {known}); expected a weight or bias of Linear, Bilinear, Conv, "
            "ConvTranspose, Embedding, MultiheadAttention, RNN, LSTM or GRU"
        )
    return arrangement.fans


def arrangement_of(module: nn.Module, name: str) -> Arrangement | None:
    """How a layer's parameter is drawn; None if the layer or the parameter is not known."""
    if getattr(module, name, None) is None:
        return None
    if isinstance(module, nn.MultiheadAttention):
        return _attention(module, name)
    if isinstance(module, tuple(_GATES)):
        return _recurrent(module, name)
    if name not in ("weight", "bias"):
        return None
    if isinstance(module, _ConvNd):
        return _convolution(module)
    if isinstance(module, nn.Linear):
        return Arrangement(Fans(module.in_features, module.out_features))
    if isinstance(module, nn.Bilinear):
        first, second, out = module.in1_features, module.in2_features, module.out_features
        return Arrangement(Fans(first * second, 2 * out * first * second / (first + second)))
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return Arrangement(Fans(1, module.embedding_dim))
    return None


def _convolution(layer: _ConvNd) -> Arrangement:
    kernel, stride = math.prod(layer.kernel_size), math.prod(layer.stride)
    fan_in = layer.in_channels // layer.groups * kernel
    fan_out = layer.out_channels // layer.groups * kernel
    if isinstance(layer, _ConvTransposeNd):
        return Arrangement(Fans(fan_in / stride, fan_out), layer.groups, transposed=True)
    return Arrangement(Fans(fan_in, fan_out / stride), layer.groups)


def _attention(layer: nn.MultiheadAttention, name: str) -> Arrangement | None:
    width = layer.embed_dim
    if name in ("in_proj_weight", "in_proj_bias"):
        return Arrangement(Fans(width, width), blocks=3)
    sources = {"q_proj_weight": width, "k_proj_weight": layer.kdim, "v_proj_weight": layer.vdim}
    return Arrangement(Fans(sources[name], width)) if name in sources else None


_GATES = {nn.LSTM: 4, nn.LSTMCell: 4, nn.GRU: 3, nn.GRUCell: 3, nn.RNN: 1, nn.RNNCell: 1}


def _recurrent(layer: nn.Module, name: str) -> Arrangement | None:
    """Gates are stacked: [gates · hidden, in]. The projection weight_hr [projected, hidden] is one."""
    if not name.startswith(("weight_", "bias_")):
        return None
    weight = getattr(layer, name.replace("bias", "weight"))
    gates = next(count for kind, count in _GATES.items() if isinstance(layer, kind))
    blocks = 1 if "_hr" in name else gates
    return Arrangement(Fans(weight.shape[1], weight.shape[0] // blocks), blocks)
