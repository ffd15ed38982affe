"""The contract of an initializer: shape and generator -> tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.initializers._fans import Fans

Setting = float | int | str

Draw = Callable[..., Tensor]
"""(shape, generator, fans or None, **settings) -> float64 tensor of that shape.

A function of a module or a partial one, not a closure, so that initializers can be pickled.
"""


@final
@dataclass(frozen=True, repr=False)
class Initializer:
    """How a parameter is drawn. Equal to another one of the same name and settings.

    Attributes:
        name: the name of its factory, e.g. "glorot_uniform".
        settings: the factory's arguments.
        draw: the function that draws.
        linear: whether its scale is meant for linear units, so that `initialize(gain="auto")`
            multiplies it by the gain of the activation that follows.
    """

    name: str
    settings: Mapping[str, Setting] = field(hash=False)
    draw: Draw = field(compare=False)
    linear: bool = False

    def __call__(
        self,
        shape: Sequence[int],
        generator: torch.Generator | None = None,
        *,
        fans: Fans | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """A new tensor.

        It is drawn in float64 and rounded, so that one seed gives the same numbers in every dtype.

        Args:
            shape: torch's, [out, in/groups, *kernel] for weights.
            generator: torch's global one if not given. The tensor is on its device.
            fans: those of the layer, where its shape does not tell them (`fans_of`).
            dtype: a floating dtype; torch's default if not given.

        Raises:
            SettingError: the shape is none that this initializer can fill, or its fans are needed
                and neither given nor to be told from it; or the dtype is not a floating one.
        """
        wanted = torch.get_default_dtype() if dtype is None else dtype
        if not wanted.is_floating_point:
            raise SettingError(
                f"{self!r} was asked for {wanted}; expected a floating dtype, e.g. torch.float32"
            )
        return self.draw(torch.Size(shape), generator, fans, **self.settings).to(wanted)

    def __repr__(self) -> str:
        return (
            f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.settings.items())})"
        )


def insist_on_finite(name: str, **settings: float) -> None:
    """Refuse settings of the initializer `name` that are not finite numbers."""
    for key, value in settings.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and math.isfinite(value)):
            raise SettingError(f"{name}({key}={value!r}); expected a finite number")


def insist_on_positive(name: str, **settings: float) -> None:
    """Refuse settings of the initializer `name` that are not finite numbers above zero."""
    insist_on_finite(name, **settings)
    for key, value in settings.items():
        if value <= 0:
            raise SettingError(f"{name}({key}={value!r}); expected a number above 0")
