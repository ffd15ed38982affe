"""Where in a model a drawn tensor goes: a parameter, or a weight that is computed from others."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from ravine.errors import SettingError

_ORIGINAL = re.compile(r"(?:(?P<layer>.*)\.)?parametrizations\.(?P<own>[^.]+)\.original\d*")
"""The names of the parameters behind a parametrized tensor: 0.parametrizations.weight.original1."""


@final
@dataclass(frozen=True)
class Place:
    """What is drawn as one.

    Attributes:
        names: all names of it in the model, that of the first use first.
        layer: the module that it belongs to.
        frozen: whether it, or a parameter that it is computed from, takes no gradient.
        parametrization: what computes it from parameters; None: it is a parameter itself.
    """

    names: tuple[str, ...]
    layer: nn.Module
    frozen: bool
    parametrization: ParametrizationList | None = None

    @property
    def name(self) -> str:
        """Its first name."""
        return self.names[0]

    @property
    def own(self) -> str:
        """Its name within the layer."""
        return self.name.rpartition(".")[2]

    def tensor(self) -> Tensor:
        """Its value now; a parametrized one is computed."""
        value = getattr(self.layer, self.own)
        assert isinstance(value, Tensor)
        return value

    def write_later(self, drawn: Tensor) -> Callable[[], None]:
        """What writes the drawn tensor to its place. All that can be refused, is before.

        Raises:
            SettingError: the parametrization takes no such tensor.
        """
        if self.parametrization is None:
            return lambda: _copy(self.tensor(), drawn)
        return _through(self.parametrization, drawn)


def places_of(model: nn.Module) -> list[Place]:
    """All that can be drawn, in the order of the model's parameters.

    A tensor under torch.nn.utils.parametrize is one place under its own name where all of its
    parametrizations have a `right_inverse`; else its parameters are places by themselves.
    """
    places: dict[int, Place] = {}
    for name, param in model.named_parameters(remove_duplicate=False):
        here = _place(model, name, param)
        key = id(param if here.parametrization is None else here.parametrization)
        before = places.setdefault(key, here)
        names = tuple(dict.fromkeys((*before.names, *here.names)))
        places[key] = replace(before, names=names, frozen=before.frozen or here.frozen)
    return list(places.values())


def _place(model: nn.Module, name: str, param: Tensor) -> Place:
    found = _ORIGINAL.fullmatch(name)
    if found is not None:
        layer, own = model.get_submodule(found["layer"] or ""), found["own"]
        parametrization = layer.get_submodule(f"parametrizations.{own}")
        assert isinstance(parametrization, ParametrizationList)
        if all(hasattr(step, "right_inverse") for step in parametrization):
            whole = f"{found['layer']}.{own}" if found["layer"] else own
            return Place((whole,), layer, not param.requires_grad, parametrization)
    return Place((name,), model.get_submodule(name.rpartition(".")[0]), not param.requires_grad)


def _copy(param: Tensor, drawn: Tensor) -> None:
    with torch.no_grad():
        param.copy_(drawn)


def _through(parametrization: ParametrizationList, drawn: Tensor) -> Callable[[], None]:
    """Assigns to a copy of the parametrization, some of which keep parts of what is assigned."""
    there = copy.deepcopy(parametrization).eval()
    try:
        with torch.no_grad():
            there.right_inverse(drawn.to(next(parametrization.parameters()).device))
            reached = there()
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise SettingError(f"its parametrization refuses what was drawn: {error}") from error
    if not bool(reached.isfinite().all()):
        raise SettingError(
            "its parametrization makes what is not finite of what was drawn (weight_norm divides by "
            "the norm, which is 0 for zeros); expected another initializer"
        )
    state = there.state_dict()
    return lambda: _load(parametrization, state)


def _load(parametrization: ParametrizationList, state: dict[str, Tensor]) -> None:
    parametrization.load_state_dict(state)
