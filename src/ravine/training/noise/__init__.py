"""Noise that is named by (seed, step, layer): a member's curve never depends on its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ravine.training.noise.attention import KeyedAttention
from ravine.training.noise.dropout import KeyedDropout, KeyedFeatureDropout
from ravine.training.noise.keys import KEY, Keyed, keys, noisy, restart, without_keys
from ravine.training.replacing import replaced

FORMS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Dropout: lambda layer: KeyedDropout(layer.p),
    nn.Dropout1d: lambda layer: KeyedFeatureDropout(layer.p, 1),
    nn.Dropout2d: lambda layer: KeyedFeatureDropout(layer.p, 2),
    nn.Dropout3d: lambda layer: KeyedFeatureDropout(layer.p, 3),
    nn.MultiheadAttention: KeyedAttention.of,
}


def keyed(model: nn.Module) -> nn.Module:
    """Replace the layers that draw noise inside a module (in place) by their keyed forms; return it.

    Parameters keep their names, and a layer that is used in several places stays one layer.
    What draws noise without a layer of torch's is left as it is.
    """
    return replaced(model, _form)


def _form(layer: nn.Module) -> nn.Module | None:
    make = FORMS.get(type(layer))
    return None if make is None else make(layer)


__all__ = ["KEY", "Keyed", "KeyedDropout", "keyed", "keys", "noisy", "restart", "without_keys"]
