"""The initializers that have a name."""

from __future__ import annotations

from collections.abc import Callable

from ravine.errors import SettingError, UnknownNameError
from ravine.initializers import _distributions as distributions
from ravine.initializers import _scaling as scaling
from ravine.initializers import _structured as structured
from ravine.initializers._initializer import Initializer

_FACTORIES: dict[str, Callable[[], Initializer]] = {
    "zeros": distributions.zeros,
    "ones": distributions.ones,
    "constant": distributions.constant,
    "random_normal": distributions.random_normal,
    "random_uniform": distributions.random_uniform,
    "truncated_normal": distributions.truncated_normal,
    "variance_scaling": scaling.variance_scaling,
    "lecun_normal": scaling.lecun_normal,
    "lecun_uniform": scaling.lecun_uniform,
    "glorot_normal": scaling.glorot_normal,
    "glorot_uniform": scaling.glorot_uniform,
    "he_normal": scaling.he_normal,
    "he_uniform": scaling.he_uniform,
    "uniform_fan_in": scaling.uniform_fan_in,
    "orthogonal": structured.orthogonal,
    "identity": structured.identity,
    "sparse": structured.sparse,
}

NAMES = tuple(_FACTORIES)
"""The names that `get` knows."""

LISTING = "ravine initializers"
"""The command that lists the names."""


def get(name: str) -> Initializer:
    """The initializer of that name, with its default settings.

    Raises:
        UnknownNameError: no initializer goes by that name.
    """
    if name not in _FACTORIES:
        raise UnknownNameError.of("initializer", name, NAMES, LISTING)
    return _FACTORIES[name]()


def as_initializer(what: str | Initializer) -> Initializer:
    """An initializer itself, or the one of that name.

    Raises:
        UnknownNameError: no initializer goes by that name.
        SettingError: it is neither a name nor an initializer.
    """
    if isinstance(what, str):
        return get(what)
    if not isinstance(what, Initializer):
        raise SettingError(
            f"an initializer is {what!r}; expected a name or an initializer, e.g. "
            '"he_normal" or ravine.initializers.random_normal(stddev=0.01)'
        )
    return what
