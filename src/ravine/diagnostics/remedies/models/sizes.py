"""Larger models, and models that can bend."""

from __future__ import annotations

from torch import nn

from ravine.diagnostics.doctor.patient import Remedy
from ravine.diagnostics.remedies.models.editing import (
    edited,
    in_sequences,
    leaves_of,
    swapped,
)
from ravine.diagnostics.remedies.models.kinds import NORMS, WEIGHTY


def nonlinear() -> Remedy:
    """A ReLU between linear layers that follow each other, in sequential models."""
    return edited(
        "ReLU between linear layers",
        "nn.ReLU()  # behind each linear layer but the last",
        lambda model: in_sequences(model, _with_relus),
    )


def hidden_layer(width: int = 64) -> Remedy:
    """A hidden layer in a model that is one linear layer."""

    def edit(model: nn.Module) -> nn.Module | None:
        leaves = [m for m in leaves_of(model) if any(True for _ in m.parameters())]
        if len(leaves) != 1 or not isinstance(leaves[0], nn.Linear):
            return None
        return swapped(model, lambda m: m is leaves[0], lambda m: _two_layers(m, width))

    code = f"nn.Sequential(nn.Linear(inputs, {width}), nn.ReLU(), nn.Linear({width}, outputs))"
    return edited(f"a hidden layer of {width} units", code, edit)


def wider(factor: int = 8) -> Remedy:
    """Hidden layers with so many times as many units or channels, in sequential models.

    A step of such a model takes longer, and counts as one."""
    return edited(
        f"hidden layers {factor} times as wide",
        f"width = {factor} * width  # of all hidden layers",
        lambda model: in_sequences(model, lambda sequence: _widened(sequence, factor)),
        grows=True,
    )


def _with_relus(sequence: nn.Sequential) -> nn.Sequential | None:
    parts: list[nn.Module] = []
    open_layer = changed = False
    for module in sequence:
        if isinstance(module, WEIGHTY):
            if open_layer:
                parts.append(nn.ReLU())
                changed = True
            open_layer = True
        elif not isinstance(module, nn.Identity | nn.Flatten | nn.Dropout):
            open_layer = False
        parts.append(module)
    return nn.Sequential(*parts) if changed else None


def _two_layers(layer: nn.Linear, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(layer.in_features, width), nn.ReLU(), nn.Linear(width, layer.out_features)
    )


def _widened(sequence: nn.Sequential, factor: int) -> nn.Sequential | None:
    places = [i for i, m in enumerate(sequence) if isinstance(m, WEIGHTY)]
    if len(places) < 2:
        return None
    parts = list(sequence)
    for i in range(places[0], places[-1] + 1):
        before, after = (factor if i > places[0] else 1), (factor if i < places[-1] else 1)
        wide = _wide(parts[i], before, after)
        if wide is None:
            return None
        parts[i] = wide
    return nn.Sequential(*parts)


def _wide(module: nn.Module, before: int, after: int) -> nn.Module | None:
    """A layer for so many times as many inputs and outputs; None: there is no telling how."""
    if isinstance(module, nn.Linear):
        size = (before * module.in_features, after * module.out_features)
        return nn.Linear(*size, bias=module.bias is not None)
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        return nn.Conv2d(
            before * module.in_channels,
            after * module.out_channels,
            module.kernel_size,  # type: ignore[arg-type]
            module.stride,  # type: ignore[arg-type]
            module.padding,  # type: ignore[arg-type]
            module.dilation,  # type: ignore[arg-type]
            bias=module.bias is not None,
            padding_mode=module.padding_mode,
        )
    if isinstance(module, NORMS):
        return type(module)(before * module.num_features, module.eps, module.momentum)
    return None if any(True for _ in module.parameters()) else module
