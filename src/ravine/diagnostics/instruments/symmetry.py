"""Units that compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import floats, largest
from ravine.diagnostics.look import Look

ROUNDINGS = 100
"""Weights are equal up to so many roundings of the largest one (1.2e-5 of it in float32), at most
1 %: twins get the same gradient up to rounding, at every step anew."""

EMBEDDINGS = nn.Embedding | nn.EmbeddingBag

QUANTITIES = {
    "equal_weights": (
        "share of a layer's units that have a twin: another one with the same incoming weights"
    ),
    "equal_units": "the same, with twins that have the same bias, too, if there is one",
}


@final
class Symmetry(Instrument):
    """Share of units that have a twin, per weight of linear layers, convolutions and embeddings.

    Units with the same incoming weights and bias have the same output; if they lead on with the same
    weights, they get the same gradient and stay twins.

    Weights are [out, in, ...], of embeddings [in, out]; of a recurrent layer's unit, those of all its
    gates, from inputs and from states, in the first layer of a stack. Units of a grouped convolution are
    compared within their group, where they see the same channels. Transposed convolutions are not looked
    at, nor weights that are frozen or computed from other parameters.
    """

    name = "symmetry"
    quantities = QUANTITIES
    cost = "six passes over the weights"
    passes = 0.3

    @torch.no_grad()
    def look(self, look: Look) -> Readings:
        """Two numbers a weight."""
        found: dict[Name, Tensor] = {}
        for name, module in look.model.named_modules():
            prefix = f"{name}." if name else ""
            if isinstance(module, nn.RNNBase):
                found |= _recurrent(module, prefix, look.params)
                continue
            place = f"{prefix}weight"
            weight = look.params.get(place)
            if weight is None or weight.numel() == 0 or not _is_looked_at(module):
                continue
            if isinstance(module, EMBEDDINGS):
                rows = weight.detach().T[None]
            else:
                rows = weight.detach().reshape(getattr(module, "groups", 1), -1, weight[0].numel())
            order, equal = _by_weights(rows)
            found[Name("equal_weights", place)] = _share(equal)
            bias = look.params.get(f"{prefix}bias")
            if bias is not None:
                equal = _by_bias(order, equal, bias.detach().reshape(order.shape))
            found[Name("equal_units", place)] = _share(equal)
        return dict(zip(found, floats(found.values()), strict=True))


def _recurrent(module: nn.RNNBase, prefix: str, params: Mapping[str, Tensor]) -> dict[Name, Tensor]:
    """The first layer's units, [hidden, gates * (in + hidden)]: twins are twins in every gate."""
    names = [f"{prefix}weight_ih_l0", f"{prefix}weight_hh_l0"]
    weights = [params[name].detach() for name in names if name in params]
    if len(weights) < 2:
        return {}
    units = module.hidden_size
    rows = torch.cat(
        [w.reshape(-1, units, w.shape[1]).transpose(0, 1).flatten(1) for w in weights], 1
    )
    return {Name("equal_weights", names[0]): _share(_by_weights(rows[None])[1])}


def _is_looked_at(module: nn.Module) -> bool:
    looked_at = isinstance(module, nn.Linear | _ConvNd | EMBEDDINGS)
    return looked_at and not isinstance(module, _ConvTransposeNd)


def _by_weights(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Units in an order in which equal rows are neighbours, [groups, units], and which neighbours
    are equal, [groups, units - 1]. Rows are [groups, units, in].

    Sorted by one projection: n - 1 comparisons instead of n²/2. The projection's directions, sin 1,
    sin 2, ..., are such that no rows but equal ones meet in it by design; two that meet by accident
    are told apart by the comparison of whole rows.
    """
    groups, units, incoming = rows.shape
    directions = torch.arange(1, incoming + 1, device=rows.device).sin().to(rows.dtype)
    order = (rows @ directions).argsort(dim=1)
    places = order + units * torch.arange(groups, device=rows.device).unsqueeze(1)
    # A gather along axis 1 takes 10 times longer on the CPU.
    ranked = rows.flatten(0, 1).index_select(0, places.flatten()).reshape(rows.shape)
    return order, (ranked[:, 1:] - ranked[:, :-1]).abs().amax(2) <= _tolerance(rows)


def _by_bias(order: Tensor, equal: Tensor, bias: Tensor) -> Tensor:
    """Which neighbours are equal in bias, too, when units of equal weights are sorted by it."""
    kind = torch.zeros_like(order)
    kind[:, 1:] = (~equal).cumsum(1)
    ranked = bias.gather(1, order)
    by_bias = ranked.argsort(dim=1)
    both = by_bias.gather(1, kind.gather(1, by_bias).argsort(dim=1, stable=True))
    kind, ranked = kind.gather(1, both), ranked.gather(1, both)
    near = (ranked[:, 1:] - ranked[:, :-1]).abs() <= _tolerance(bias)
    return near & (kind[:, 1:] == kind[:, :-1])


def _tolerance(x: Tensor) -> Tensor:
    return min(ROUNDINGS * torch.finfo(x.dtype).eps, 0.01) * largest(x)


def _share(equal: Tensor) -> Tensor:
    """Of units that are equal to the neighbour before or after."""
    before, after = nn.functional.pad(equal, (1, 0)), nn.functional.pad(equal, (0, 1))
    return (before | after).float().mean()
