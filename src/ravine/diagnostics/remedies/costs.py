"""Changes of the cost: likelihoods of classes, targets in the output's shape."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ravine.diagnostics.doctor.attempting import Failed, tried
from ravine.diagnostics.doctor.patient import Change, Patient, Remedy
from ravine.diagnostics.remedies.models.editing import outputs
from ravine.recipes import Measure


def fitting_targets() -> Remedy:
    """Targets in the shape of the output, before the cost broadcasts them."""

    def fits(output: Tensor, target: Tensor) -> bool:
        return output.shape != target.shape and output.numel() == target.numel()

    def shaped(cost: Measure) -> Measure:
        return lambda output, target: cost(
            output, target.reshape(output.shape) if output.numel() == target.numel() else target
        )

    code = "cost(output, target.reshape(output.shape))"
    return _cost("targets in the output's shape", code, fits, shaped)


def cross_entropy() -> Remedy:
    """The likelihood of classes, for targets that are classes or mark one."""

    def fits(output: Tensor, target: Tensor) -> bool:
        return output.ndim == 2 and output.shape[1] > 1 and _are_classes(output, target)

    code = "torch.nn.functional.cross_entropy(output, classes)"
    return _cost("cross-entropy", code, fits, lambda cost: _of_classes)


def cross_entropy_by_place() -> Remedy:
    """The likelihood of the class at every place of a sequence or image, classes along the last axis."""

    def fits(output: Tensor, target: Tensor) -> bool:
        return output.ndim > 2 and output.shape[:-1] == target.shape and _whole(target)

    def by_place(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output.flatten(0, -2), target.flatten())

    code = "torch.nn.functional.cross_entropy(output.flatten(0, -2), target.flatten())"
    return _cost("cross-entropy at every place", code, fits, lambda cost: by_place)


def _cost(
    name: str,
    code: str,
    fits: Callable[[Tensor, Tensor], bool],
    changed: Callable[[Measure], Measure],
) -> Remedy:
    """Another cost, where it fits what the model says and means something else than the present one."""

    def changes(patient: Patient) -> Sequence[Change]:
        found = outputs(patient)
        if found is None or not fits(*found):
            return []
        with warnings.catch_warnings():  # torch's, of the shapes that are to be mended
            warnings.simplefilter("ignore")
            before = tried(lambda: patient.recipe.cost(*found))
            after = tried(lambda: changed(patient.recipe.cost)(*found))
        if isinstance(before, Failed) or isinstance(after, Failed) or torch.equal(before, after):
            return []
        return [Change(name, code, 5, apply)]

    def apply(patient: Patient) -> Patient:
        return replace(patient, recipe=replace(patient.recipe, cost=changed(patient.recipe.cost)))

    return changes


def _whole(target: Tensor) -> bool:
    return not target.is_floating_point() or torch.equal(target, target.round())


def _are_classes(output: Tensor, target: Tensor) -> bool:
    if target.shape == output.shape:  # one 1 a row
        return bool(((target == 0) | (target == 1)).all() and (target.sum(-1) == 1).all())
    fits = target.numel() == len(output) and _whole(target)
    return fits and bool(((target >= 0) & (target < output.shape[1])).all())


def _of_classes(output: Tensor, target: Tensor) -> Tensor:
    classes = target.argmax(-1) if target.ndim > 1 and target.shape == output.shape else target
    return F.cross_entropy(output, classes.reshape(len(output)).long())
