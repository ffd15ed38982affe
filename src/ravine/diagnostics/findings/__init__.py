"""What is wrong with a run: readings -> findings, the worst first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings import (
    depth,
    generalization,
    inputs,
    landscape,
    noise,
    normalization,
    numbers,
    outputs,
    rate,
    symmetry,
    trained,
    units,
)
from ravine.diagnostics.findings._outcome import outcome
from ravine.diagnostics.history import History

FINDERS: tuple[Callable[[History, Facts], list[Finding]], ...] = (
    *(numbers.find, outputs.find, inputs.find, trained.find, symmetry.find, units.find),
    *(normalization.find, depth.find, rate.find, landscape.find, noise.find),
    generalization.find,
)

FEW = 20
"""Steps before which nothing is said but what is certain: there is no outcome yet."""

CERTAIN = frozenset({"not_finite", "wrong_output", "cost_target_mismatch"})
"""Kinds that are reported of a run that trains well, too, at half their severity."""

LEFTOVER = "underfitting"
"""What is said where nothing else explains a loss that stands high: not beside what is certain."""

OF_THE_REST = frozenset(
    {
        *("ill_conditioned", "saddle", "oscillating_loss", "overfitting", "unscaled_inputs"),
        *("frozen_parameters", "symmetric_start", "batch_norm_misuse", "lr_too_high"),
    }
)
"""Kinds that hold a run up half-way: their own bounds are stricter than the gate."""


def diagnose(history: History, facts: Facts) -> list[Finding]:
    """Findings, worst first, one of a kind; none means that nothing wrong was found.

    The outcome gate: of a run that trains well only what is certain, or what holds it up on the
    rest of its way, is reported.
    """
    result = outcome(history, facts)
    found = [finding for find in FINDERS for finding in find(history, facts)]
    if result.well:
        found = [f for f in map(_at_half, found) if f.kind in CERTAIN | OF_THE_REST]
    if result.steps < FEW:
        found = [finding for finding in found if finding.kind in CERTAIN]
    if any(finding.kind in CERTAIN for finding in found):
        found = [finding for finding in found if finding.kind != LEFTOVER]
    ordered = sorted(found, key=lambda finding: -finding.severity)
    kinds = dict.fromkeys(finding.kind for finding in ordered)
    return [next(f for f in ordered if f.kind == kind) for kind in kinds]


def _at_half(finding: Finding) -> Finding:
    certain = finding.kind in CERTAIN
    return replace(finding, severity=finding.severity / 2) if certain else finding


__all__ = ["diagnose"]
