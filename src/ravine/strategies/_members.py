"""What is to be put together out of several models: checks that all of it shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from ravine.errors import SettingError


def insist_on_models(models: Sequence[nn.Module], what: str) -> None:
    """Raise SettingError unless there are models, all of them modules without NaN or infinity.

    Args:
        models: what was given. what: what they were given for, as in "an ensemble".
    """
    if isinstance(models, nn.Module) or not isinstance(models, Sequence):
        raise SettingError(
            f"the models of {what} are {type(models).__name__}; expected a list of them, e.g. "
            "[member.model for member in fit(recipe, 'adam', seeds=range(5))]"
        )
    if not models:
        raise SettingError(f"there are no models for {what}; expected at least one")
    for place, model in enumerate(models):
        if not isinstance(model, nn.Module):
            raise SettingError(
                f"model {place} of {what} is {type(model).__name__}; expected a torch.nn.Module, "
                "e.g. the .model of what fit() returns"
            )
        broken = [name for name, p in model.named_parameters() if not p.isfinite().all()]
        if broken:
            raise SettingError(
                f"model {place} of {what} has diverged: {broken[0]!r} holds NaN or infinity; "
                "leave it out (its run.diverged_at says when)"
            )


def normalized(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """The weights of `count` models, with sum 1; None: all alike.

    Raises:
        SettingError: not one for each model, or one that is not a positive finite number.
    """
    given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(given) != count:
        raise SettingError(f"{len(given)} weights for {count} models; expected one for each")
    for weight in given:
        if not (weight > 0 and math.isfinite(weight)):
            raise SettingError(
                f"a model has the weight {weight!r}; expected a positive number; to give one no "
                "weight, leave it out"
            )
    return tuple(weight / math.fsum(given) for weight in given)
