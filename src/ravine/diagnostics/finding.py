"""What is wrong with a run, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = (
    "vanishing_gradients",
    "exploding_gradients",
    "dying_relus",
    "saturated_units",
    "symmetric_start",
    "bad_scale_at_start",
    "lr_too_high",
    "lr_too_low",
    "ill_conditioned",
    "plateau",
    "saddle",
    "cliff",
    "noisy_gradient",
    "oscillating_loss",
    "overfitting",
    "underfitting",
    "not_finite",
    "unscaled_inputs",
    "wrong_output",
    "cost_target_mismatch",
    "constant_output",
    "frozen_parameters",
    "shuffled_labels",
    "batch_norm_misuse",
)
"""All that can be found."""

TITLES = {
    "lr_too_high": "learning rate too high",
    "lr_too_low": "learning rate too low",
    "dying_relus": "dying ReLUs",
    "not_finite": "NaN or infinite",
    "noisy_gradient": "gradient too noisy",
    "cost_target_mismatch": "cost does not fit the targets",
    "frozen_parameters": "parameters that do not learn",
    "shuffled_labels": "labels that do not belong to the inputs",
    "batch_norm_misuse": "batch norm misused",
}
"""Kinds in print, where that is not the kind itself without underscores."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: one of `KINDS`.
        severity: 0 to 1; findings are listed by it, the worst first. Above 0.9: nothing is learned.
        evidence: what was measured, in a sentence with the numbers.
        remedy: what to change, in a sentence.
        step: gradient step at which it was first seen.
        place: layer or parameter; empty for the whole run.
    """

    kind: str
    severity: float
    evidence: str
    remedy: str
    step: int
    place: str = ""

    @property
    def title(self) -> str:
        """The kind in print, e.g. "learning rate too high"."""
        return TITLES.get(self.kind, self.kind.replace("_", " "))
