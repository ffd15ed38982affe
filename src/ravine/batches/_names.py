"""Orders by name, for the command line."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ravine.batches._order import Order
from ravine.batches._shuffling import shuffled, shuffled_once, stored, with_replacement
from ravine.batches._strata import stratified
from ravine.errors import UnknownNameError

_MAKERS: dict[str, Callable[[Tensor], Order]] = {
    "shuffled": lambda targets: shuffled(),
    "shuffled_once": lambda targets: shuffled_once(),
    "stored": lambda targets: stored(),
    "with_replacement": lambda targets: with_replacement(),
    "stratified": stratified,
}

NAMES = tuple(_MAKERS)
"""Orders that need no more than the training targets."""


def named(name: str, targets: Tensor) -> Order:
    """The order of a name.

    Args:
        name: one of `NAMES`.
        targets: the training targets, [examples, ...]: the classes of "stratified".

    Raises:
        UnknownNameError: there is no order of that name.
        SettingError: "stratified", and the targets are not classes.
    """
    if name not in _MAKERS:
        raise UnknownNameError.of("order of examples", name, NAMES, "ravine batches")
    return _MAKERS[name](targets)
