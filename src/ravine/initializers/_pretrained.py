"""Parameters from a model that was trained before, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from ravine.errors import SettingError

Shape = tuple[int, ...]


@final
@dataclass(frozen=True)
class Match:
    """What was taken over. `str` gives a report.

    Attributes:
        loaded: names in the model that took the source's values.
        missing: names in the model that the source does not have.
        unexpected: names in the source (renamed) that the model does not have.
        mismatched: names that both have in different shapes -> (the model's, the source's).
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: dict[str, tuple[Shape, Shape]]

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.mismatched)
        lines = [f"loaded {len(self.loaded)} of the model's {total} tensors"]
        if self.missing:
            lines.append(f"missing in the source, left as they were: {', '.join(self.missing)}")
        lines += [
            f"of another shape, left as it was: {name} is {list(own)} here, {list(other)} there"
            for name, (own, other) in self.mismatched.items()
        ]
        if self.unexpected:
            lines.append(f"not in the model: {', '.join(self.unexpected)}")
        return "\n".join(lines)


def from_pretrained(
    model: nn.Module,
    source: nn.Module | Mapping[str, Tensor],
    rename: Mapping[str, str] | None = None,
) -> Match:
    """Take over parameters and buffers of the same name and shape, in place.

        from_pretrained(classifier, autoencoder, rename={"encoder.": "features."})

    Args:
        model: changed in place; its dtypes and devices stay.
        source: a model, or a state_dict.
        rename: beginnings of the source's names -> what the model has in their place; the first that
            fits holds.

    Raises:
        SettingError: nothing matches, the source holds what is no tensor, or two of its names become
            one.

    Source: Erhan et al., "Why Does Unsupervised Pre-training Help Deep Learning?", JMLR 2010.
    """
    theirs = _renamed(_tensors(source), rename or {})
    own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    shared = [name for name in own if name in theirs]
    loaded = [name for name in shared if own[name].shape == theirs[name].shape]
    match = Match(
        tuple(loaded),
        tuple(name for name in own if name not in theirs),
        tuple(name for name in theirs if name not in own),
        {n: (tuple(own[n].shape), tuple(theirs[n].shape)) for n in shared if n not in loaded},
    )
    if not loaded:
        raise SettingError(
            f"nothing of the source matches the model. The model has {_some(own)}; the source "
            f"has {_some(theirs)}. Expected equal names and shapes; rename={{'there.': 'here.'}} "
            "maps beginnings of names"
        )
    with torch.no_grad():
        for name in loaded:
            own[name].copy_(theirs[name])
    return match


def _tensors(source: Any) -> dict[str, Tensor]:
    if isinstance(source, nn.Module):
        source = source.state_dict()
        return {name: value for name, value in source.items() if isinstance(value, Tensor)}
    if not isinstance(source, Mapping):
        raise SettingError(
            f"the source is {type(source).__name__}; expected a module or its state_dict, e.g. "
            "torch.load(path)"
        )
    for name, value in source.items():
        if not isinstance(value, Tensor):
            within = f"; perhaps source[{name!r}]" if isinstance(value, Mapping) else ""
            raise SettingError(
                f"the source holds {name!r}: {type(value).__name__}; "
                f"expected names of parameters -> tensors{within}"
            )
    return dict(source)


def _renamed(tensors: dict[str, Tensor], rename: Mapping[str, str]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        old = next((beginning for beginning in rename if name.startswith(beginning)), None)
        new = name if old is None else rename[old] + name[len(old) :]
        if new in renamed:
            raise SettingError(
                f"two tensors of the source become {new!r}; change rename={rename!r}"
            )
        renamed[new] = value
    return renamed


def _some(tensors: Mapping[str, Tensor]) -> str:
    names = [f"{name} {list(value.shape)}" for name, value in tensors.items()]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
