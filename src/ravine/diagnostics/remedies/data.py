"""Changes of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ravine.diagnostics.doctor.patient import Change, Patient, Remedy
from ravine.recipes import Problem, Split, load

MOST_FEATURES = 2048
"""Features that are whitened at most: their covariance has this number squared."""

LEAST = 1e-5
"""Share of the largest eigenvalue of the inputs' covariance below which no direction is stretched."""

CONSTANT = 1e-6
"""Share of its largest value below which a feature's deviation is rounding noise of float32."""


def standardized() -> Remedy:
    """Every feature with mean 0 and deviation 1, by the training examples' statistics."""

    def changes(patient: Patient) -> Sequence[Change]:
        if _numbers(patient) is None:
            return []
        code = "inputs = (inputs - mean) / std  # of each feature, over the training examples"
        return [Change("standardized inputs", code, 4, apply)]

    def apply(patient: Patient) -> Patient:
        problem = load(patient.recipe)
        known = problem.at_hand.inputs
        mean, std = known.mean(0), known.std(0)
        std = torch.where(std > CONSTANT * known.abs().amax(0), std, torch.ones_like(std))
        return _mapped(patient, problem, lambda inputs: (inputs - mean) / std)

    return changes


def whitened() -> Remedy:
    """Features without correlation, each with mean 0 and deviation 1: (x - m) V Λ^(-1/2) Vᵀ, with
    V Λ Vᵀ the training examples' covariance."""

    def changes(patient: Patient) -> Sequence[Change]:
        known = _numbers(patient)
        if known is None or known.ndim != 2 or not 2 <= known.shape[1] <= MOST_FEATURES:
            return []
        code = (
            "spread, axes = torch.linalg.eigh(torch.cov(train_inputs.T)); "
            "inputs = (inputs - mean) @ (axes / spread.clamp(min=1e-5 * spread[-1]).sqrt()) @ axes.T"
        )
        return [Change("whitened inputs", code, 4, apply)]

    def apply(patient: Patient) -> Patient:
        problem = load(patient.recipe)
        known = problem.at_hand.inputs
        mean = known.mean(0)
        spread, axes = torch.linalg.eigh(torch.cov(known.T.double()))
        matrix = (axes / spread.clamp(min=LEAST * float(spread[-1])).sqrt()) @ axes.T
        matrix = matrix.to(known.dtype)
        return _mapped(patient, problem, lambda inputs: (inputs - mean) @ matrix)

    return changes


def _numbers(patient: Patient) -> Tensor | None:
    """The training inputs where they are numbers in memory."""
    train = load(patient.recipe).train
    if not isinstance(train, Split) or not train.inputs.is_floating_point():
        return None
    return train.inputs


def _mapped(patient: Patient, problem: Problem, mapped: Callable[[Tensor], Tensor]) -> Patient:
    """The patient with its inputs mapped."""

    def pair(split: Split) -> tuple[Tensor, Tensor]:
        return mapped(split.inputs), split.targets

    recipe = replace(
        patient.recipe,
        train=pair(problem.at_hand),
        validation=pair(problem.validation),
        test=None if problem.test is None else pair(problem.test),
        steps=problem.steps,
        epochs=None,
    )
    return replace(patient, recipe=recipe)
