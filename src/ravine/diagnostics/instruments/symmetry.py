"""Units that compute the same."""

from __future__ import annotations

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

QUANTITIES = {
    "equal_weights": (
        "share of a layer's units that have a twin: another one with the same incoming weights"
    ),
    "equal_units": "the same, with twins that have the same bias, too, if there is one",
}


@final
class Symmetry(Instrument):
    """Share of units that have a twin, per weight of linear layers and convolutions.

    Units with the same incoming weights and bias have the same output; if they lead on with the same
    weights, they get the same gradient and stay twins.

    Weights are [out, in, ...]. Units of a grouped convolution are compared within their group, where
    they see the same channels. Transposed convolutions are not looked at, nor weights that are
    frozen or computed from other parameters.
    """

    name = "symmetry"
    quantities = QUANTITIES
    cost = "about eight passes over the weights"
    passes = 0.5

    @torch.no_grad()
    def look(self, look: Look) -> Readings:
        """Two numbers a weight."""
        found: dict[Name, Tensor] = {}
        for name, module in look.model.named_modules():
            prefix = f"{name}." if name else ""
            place = f"{prefix}weight"
            weight = look.params.get(place)
            if weight is None or weight.numel() == 0 or not _is_looked_at(module):
                continue
            rows = weight.detach().reshape(getattr(module, "groups", 1), -1, weight[0].numel())
            found[Name("equal_weights", place)] = _share_of_twins(rows)
            bias = look.params.get(f"{prefix}bias")
            if bias is not None:
                rows = torch.cat([rows, bias.detach().reshape(*rows.shape[:2], 1)], dim=2)
            found[Name("equal_units", place)] = _share_of_twins(rows)
        return dict(zip(found, floats(found.values()), strict=True))


def _is_looked_at(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | _ConvNd) and not isinstance(module, _ConvTransposeNd)


def _share_of_twins(rows: Tensor) -> Tensor:
    """Of [groups, units, in], compared within groups.

    Sorted by one projection, equal rows are neighbours: n - 1 comparisons instead of n²/2. The
    projection's directions, sin 1, sin 2, ..., are such that no rows but equal ones meet in it by
    design; two that meet by accident are told apart by the comparison of whole rows.
    """
    groups, units, incoming = rows.shape
    directions = torch.arange(1, incoming + 1, device=rows.device).sin().to(rows.dtype)
    order = (rows @ directions).argsort(dim=1)
    ranked = rows.gather(1, order.unsqueeze(2).expand_as(rows))
    tolerance = min(ROUNDINGS * torch.finfo(rows.dtype).eps, 0.01) * largest(rows)
    apart = (ranked[:, 1:] - ranked[:, :-1]).abs().amax(2)
    equal = apart <= tolerance
    twin = torch.zeros(groups, units, dtype=torch.bool, device=rows.device)
    twin[:, 1:] |= equal
    twin[:, :-1] |= equal
    return twin.float().mean()
