"""Larger models, and models that can bend."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ravine.diagnostics.doctor.patient import Remedy
from ravine.diagnostics.remedies.models.editing import (
    edited,
    in_sequences,
    leaves_of,
    placed,
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
        layer = leaves[0] if len(leaves) == 1 else None
        if type(layer) is not nn.Linear:
            return None
        return swapped(model, lambda m: m is layer, lambda m: _two_layers(m, width))

    code = f"nn.Sequential(nn.Linear(inputs, {width}), nn.ReLU(), nn.Linear({width}, outputs))"
    return edited(f"a hidden layer of {width} units", code, edit)


def wider(factor: int = 8) -> Remedy:
    """Hidden layers with so many times as many units or channels, in sequential models.

    A step of such a model takes longer, and counts as one."""
    return edited(
        f"hidden layers {factor} times as wide",
        f"width = {factor} * width  # of all hidden layers",
        lambda model: in_sequences(model, lambda parts: _widened(parts, factor)),
        grows=True,
    )


def _with_relus(parts: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The layers that follow another one without an activation between, each behind a ReLU."""
    new: dict[str, nn.Module] = {}
    open_layer = False
    for name, module in parts.items():
        if isinstance(module, WEIGHTY):
            if open_layer:
                new[name] = nn.Sequential(nn.ReLU(), module)
            open_layer = True
        elif not isinstance(module, nn.Identity | nn.Flatten | nn.Dropout):
            open_layer = False
    return new


def _two_layers(layer: nn.Linear, width: int) -> nn.Module:
    first = nn.Linear(layer.in_features, width)
    last = nn.Linear(width, layer.out_features, bias=layer.bias is not None)
    return placed(nn.Sequential(first, nn.ReLU(), last), layer)


def _widened(parts: Mapping[str, nn.Module], factor: int) -> dict[str, nn.Module]:
    """All from the first layer to the last, fit to each other; nothing where one cannot be."""
    names = list(parts)
    places = [i for i, name in enumerate(names) if isinstance(parts[name], WEIGHTY)]
    layers = {id(parts[names[i]]) for i in places}
    if len(places) < 2 or len(layers) < len(places):  # one that is used twice has one width
        return {}
    new: dict[str, nn.Module] = {}
    for i in range(places[0], places[-1] + 1):
        before, after = (factor if i > places[0] else 1), (factor if i < places[-1] else 1)
        wide = _wide(parts[names[i]], before, after)
        if wide is None:
            return {}
        new[names[i]] = placed(wide, parts[names[i]])
    return new


def _wide(module: nn.Module, before: int, after: int) -> nn.Module | None:
    """A layer for so many times as many inputs and outputs; None: there is no telling how."""
    if type(module) is nn.Linear:
        size = (before * module.in_features, after * module.out_features)
        return nn.Linear(*size, bias=module.bias is not None)
    if type(module) is nn.Conv2d and module.groups == 1:
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
        return type(module)(
            before * module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
        )
    return None if any(True for _ in module.parameters()) else module
