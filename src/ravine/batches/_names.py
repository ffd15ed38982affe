"""Orders by name, for the command line."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ravine.batches._order import Order
from ravine.batches._shuffling import shuffled, shuffled_once, stored, with_replacement
from ravine.batches._strata import stratified
from ravine.errors import SettingError, UnknownNameError

_PLAIN: dict[str, Callable[[], Order]] = {
    "shuffled": shuffled,
    "shuffled_once": shuffled_once,
    "stored": stored,
    "with_replacement": with_replacement,
}

_OF_TARGETS: dict[str, Callable[[Tensor], Order]] = {"stratified": stratified}

NAMES = (*_PLAIN, *_OF_TARGETS)
"""Orders that need no more than the training targets."""


def named(name: str, targets: Tensor | None = None) -> Order:
    """The order of a name.

    Args:
        name: one of `NAMES`.
        targets: the training targets, [examples, ...]: the classes of "stratified". The others need
            none.

    Raises:
        UnknownNameError: there is no order of that name.
        SettingError: the name is empty; or "stratified", and there are no targets or they are not
            classes.
    """
    if name == "":
        raise SettingError(f"--batches is empty; expected one of {', '.join(NAMES)}")
    if name in _PLAIN:
        return _PLAIN[name]()
    if name not in _OF_TARGETS:
        raise UnknownNameError.of("order of examples", name, NAMES, "ravine batches")
    if targets is None:
        raise SettingError(
            f"--batches {name} came without training targets; it takes the classes from them. "
            f"Give them, labels of your own with ravine.batches.{name}(labels), or use another "
            "order, e.g. --batches shuffled"
        )
    try:
        return _OF_TARGETS[name](targets)
    except SettingError as error:
        raise SettingError(
            f"--batches {name} takes the training targets for classes, and they are none: {error}. "
            f"Use another order, e.g. --batches shuffled, or classes of your own: "
            f"ravine.batches.{name}(labels)"
        ) from error
