"""What a model ends in."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ravine.diagnostics.doctor.patient import Change, Patient, Remedy
from ravine.diagnostics.remedies.models.editing import edited, last_leaf, outputs, swapped
from ravine.diagnostics.remedies.models.kinds import ENDINGS


def no_ending() -> Remedy:
    """The model without the activation at its end."""

    def edit(model: nn.Module) -> nn.Module | None:
        last = last_leaf(model)
        return swapped(
            model, lambda m: m is last and isinstance(m, ENDINGS), lambda m: nn.Identity()
        )

    return edited(
        "no activation at the output", "nn.Identity()  # in place of the last activation", edit
    )


def sigmoid_ending() -> Remedy:
    """A sigmoid for a softmax of one output, which is always 1."""

    def changes(patient: Patient) -> Sequence[Change]:
        found = outputs(patient)
        return remedy(patient) if found is not None and found[0].shape[-1] == 1 else []

    def edit(model: nn.Module) -> nn.Module | None:
        last = last_leaf(model)
        ends = (nn.Softmax, nn.LogSoftmax)
        return swapped(model, lambda m: m is last and isinstance(m, ends), lambda m: nn.Sigmoid())

    remedy = edited("sigmoid at the output", "nn.Sigmoid()  # in place of nn.Softmax()", edit)
    return changes
