"""Changes of the data."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ravine.diagnostics.patient import Change, Patient
from ravine.recipes import Split, load


def standardized() -> Change:
    """Every feature with mean 0 and deviation 1, by the training examples' statistics."""

    def apply(patient: Patient) -> Patient:
        problem = load(patient.recipe)
        known = problem.at_hand.inputs
        if not isinstance(problem.train, Split) or not known.is_floating_point():
            return patient
        mean = known.mean(0)
        std = known.std(0)
        # A feature that hardly varies is no scale to go by.
        std = std.clamp(min=max(1e-3 * float(std.max()), 1e-12))

        def scaled(inputs: Tensor) -> Tensor:
            return (inputs - mean) / std

        def pair(split: Split) -> tuple[Tensor, Tensor]:
            return scaled(split.inputs), split.targets

        recipe = replace(
            patient.recipe,
            train=pair(problem.at_hand),
            validation=pair(problem.validation),
            test=None if problem.test is None else pair(problem.test),
            steps=problem.steps,
            epochs=None,
        )
        return replace(patient, recipe=recipe)

    return Change("standardized inputs", "inputs = (inputs - mean) / std", 4, apply)
