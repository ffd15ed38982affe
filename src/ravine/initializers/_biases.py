"""Biases that are known before training: of the output layer, and of gates."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ravine.errors import SettingError

Link = Literal["softmax", "sigmoid", "identity"]
"""The output activation whose inverse is taken."""

LINKS: tuple[Link, ...] = get_args(Link)

IGNORED = -100
"""The target that torch's cross_entropy leaves out by default."""


def output_bias(
    model: nn.Module,
    targets: Tensor,
    *,
    link: Link | None = None,
    layer: str | None = None,
    smoothing: float = 1.0,
) -> nn.Module:
    r"""Set the output layer's bias so that the outputs start at the marginal statistics of the targets.

    The inverse of the output activation, applied to the statistics:

        softmax     b_c = log((n_c + s) / (n + C s))      n_c examples of class c, of n; C classes
        sigmoid     b_i = log((n_i + s) / (n - n_i + s))  n_i the sum of target i over n examples
        identity    b_i = mean of target i

    With weights of zero in that layer the model predicts just these; with small ones nearly. The
    activation may be inside of the cost (cross_entropy, BCEWithLogits) or the model's last module.

    Args:
        model: changed in place.
        targets: training targets. softmax: classes, int64 [...], or probabilities [n, C]; -100 is
            left out, as torch does. sigmoid and identity: [n, outputs, ...] as the model's output,
            or anything if there is one output.
        link: the output activation. Without it: softmax for whole numbers if the layer has several
            outputs, sigmoid for targets that are all 0 or 1, identity for others.
        layer: the output layer's name; by default the last Linear or convolution of the model, in
            the order in which it was built, that has a bias.
        smoothing: s, examples added to each class, so that one that never occurs gets no -∞.

    Returns:
        The model.

    Raises:
        SettingError: there is no such layer or bias, it is frozen, the targets do not fit it, link or
            smoothing is not what is expected, or a class never occurs and smoothing is 0.

    Source: Goodfellow, Bengio & Courville, "Deep Learning", 2016, section 8.4.
    """
    if link is not None and link not in LINKS:
        raise SettingError(f"link={link!r}; expected {', '.join(LINKS)} or None")
    if not (math.isfinite(smoothing) and smoothing >= 0):
        raise SettingError(f"smoothing={smoothing!r}; expected a number from 0 on")
    name, module = output_layer(model, layer)
    bias = module.bias
    assert isinstance(bias, Tensor)
    if not bias.requires_grad:
        raise SettingError(
            f"the bias of the output layer {name!r} is frozen (requires_grad is False); "
            "requires_grad_(True) thaws it, and another layer is chosen by layer=..."
        )
    marginal = _marginal(targets, len(bias), link or _link(targets, len(bias)), smoothing, name)
    if not bool(marginal.isfinite().all()):
        raise SettingError(
            f"the bias of {name!r} would be {marginal.tolist()}: a class never occurs, or always, or "
            "the targets hold NaN; expected finite targets, and smoothing above 0, e.g. smoothing=1"
        )
    with torch.no_grad():
        bias.copy_(marginal)
    return model


def output_layer(model: nn.Module, name: str | None = None) -> tuple[str, nn.Module]:
    """The layer of that name, or the last Linear or convolution with a bias, and its name.

    Raises:
        SettingError: there is none.
    """
    layers = {
        key: module
        for key, module in model.named_modules()
        if isinstance(module, nn.Linear | _ConvNd) and module.bias is not None
    }
    if not layers or (name is not None and name not in layers):
        raise SettingError(
            f"{type(model).__name__} has no Linear or convolution with a bias"
            f"{'' if name is None else f' called {name!r}'}; there are: {', '.join(layers) or 'none'}"
        )
    key = list(layers)[-1] if name is None else name
    return key, layers[key]


def open_gates(model: nn.Module, value: float = 1.0) -> nn.Module:
    """Set the forget gate's bias of every LSTM and LSTMCell, so that cells remember at the start.

        c ← σ(b_f + ...) c + ...        σ(1) = 0.73 in place of σ(0) = 0.5

    torch adds two bias vectors in each gate: the first gets the value, the second 0. Frozen ones
    (requires_grad=False) are left alone.

    Args:
        model: changed in place.
        value: b_f.

    Returns:
        The model.

    Raises:
        SettingError: the model has no LSTM with biases that are not frozen, or the value is not finite.

    Source: Jozefowicz, Zaremba & Sutskever, "An Empirical Exploration of Recurrent Network
        Architectures", ICML 2015, section 5; Gers, Schmidhuber & Cummins 2000.
    """
    if not math.isfinite(value):
        raise SettingError(f"open_gates(value={value!r}); expected a finite number")
    biases = [
        (name, param)
        for module in model.modules()
        if isinstance(module, nn.LSTM | nn.LSTMCell)
        for name, param in module.named_parameters(recurse=False)
        if name.startswith("bias_") and param.requires_grad
    ]
    if not biases:
        raise SettingError(
            f"{type(model).__name__} has no LSTM or LSTMCell with biases that are not frozen; "
            "expected one"
        )
    with torch.no_grad():
        for name, param in biases:
            hidden = len(param) // 4  # input, forget, cell, output
            param[hidden : 2 * hidden] = value if name.startswith("bias_ih") else 0.0
    return model


def _link(targets: Tensor, outputs: int) -> Link:
    """The activation that the targets speak for."""
    whole = not targets.is_floating_point() and targets.dtype != torch.bool
    if whole and outputs > 1:
        return "softmax"
    return "sigmoid" if bool(((targets == 0) | (targets == 1)).all()) else "identity"


def _marginal(targets: Tensor, outputs: int, link: Link, smoothing: float, name: str) -> Tensor:
    """The inverse of the activation at the targets' statistics: float64 [outputs]."""
    if link == "softmax" and not targets.is_floating_point():
        counts = _counts(targets, outputs, name)
        return _log_frequencies(counts, smoothing)
    rows = _by_output(targets, outputs, name)
    if link == "softmax":
        return _log_frequencies(rows.sum(1), smoothing)
    if link == "identity":
        return rows.mean(1)
    positive = rows.sum(1)
    return (positive + smoothing).log() - (rows.shape[1] - positive + smoothing).log()


def _log_frequencies(counts: Tensor, smoothing: float) -> Tensor:
    counts = counts + smoothing
    return counts.log() - counts.sum().log()


def _counts(targets: Tensor, classes: int, name: str) -> Tensor:
    """How often each class occurs: float64 [classes]."""
    seen = targets[targets != IGNORED].flatten().long()
    if seen.numel() == 0 or int(seen.min()) < 0 or int(seen.max()) >= classes:
        span = f"{int(seen.min())} to {int(seen.max())}" if seen.numel() else "none"
        raise SettingError(
            f"the classes are {span}; expected 0 to {classes - 1}, since the output layer {name!r} "
            f"has {classes} outputs; another layer: layer=..."
        )
    return torch.bincount(seen, minlength=classes).double()


def _by_output(targets: Tensor, outputs: int, name: str) -> Tensor:
    """Targets as float64 [outputs, examples]."""
    if targets.numel() and outputs == 1:
        return targets.double().reshape(1, -1)
    if targets.numel() == 0 or targets.ndim < 2 or targets.shape[1] != outputs:
        raise SettingError(
            f"the targets are {list(targets.shape)}; expected [examples, {outputs}, ...], since the "
            f"output layer {name!r} has {outputs} outputs; another layer: layer=..."
        )
    return targets.double().transpose(0, 1).reshape(outputs, -1)
