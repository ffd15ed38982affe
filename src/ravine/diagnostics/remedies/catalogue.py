"""Kind of finding -> changes to try, the likeliest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ravine.diagnostics.doctor.patient import Change, Patient, Remedy
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.remedies import costs, data, models, settings

REMEDIES: Mapping[str, Sequence[Remedy]] = {
    "vanishing_gradients": (
        settings.remembering(),
        settings.begin("glorot_uniform"),
        models.activation("ReLU"),
        models.batch_norm(),
        models.long_memory(),
        settings.begin("he_normal"),
    ),
    "exploding_gradients": (
        settings.begin("glorot_uniform"),
        settings.clipping(),
        settings.remembering(),
        settings.begin("he_normal"),
        settings.rate(1 / 10),
    ),
    "dying_relus": (
        settings.begin("he_normal"),
        settings.rate(1 / 10),
        models.activation("LeakyReLU"),
        settings.schedule("constant"),
    ),
    "saturated_units": (
        settings.begin("glorot_uniform"),
        models.activation("ReLU"),
        data.standardized(),
        models.batch_norm(),
    ),
    "symmetric_start": (
        settings.begin("glorot_uniform"),
        settings.begin("he_normal"),
        settings.begin("as_built"),
    ),
    "bad_scale_at_start": (
        settings.begin("glorot_uniform"),
        settings.begin("he_normal"),
        settings.begin("as_built"),
        settings.begin("lsuv"),
    ),
    "lr_too_high": (
        settings.own_rate(1 / 100),
        settings.rate(1 / 10),
        settings.rate(1 / 30),
        settings.rate(1 / 3),
        settings.schedule("warmup+constant"),
        settings.rate(1 / 100),
    ),
    "lr_too_low": (
        settings.own_rate(1000),
        settings.rate(100),
        settings.rate(1000),
        settings.rate(10),
    ),
    "ill_conditioned": (
        data.standardized(),
        data.whitened(),
        settings.optimizer("adam"),
        settings.optimizer("adam", 10),
    ),
    "plateau": (
        settings.begin("glorot_uniform"),
        settings.optimizer("adam", 10),
        settings.rate(10),
        settings.optimizer("adam", 100),
        settings.rate(100),
    ),
    "saddle": (
        settings.begin("glorot_uniform"),
        settings.optimizer("adam", 10),
        settings.rate(10),
    ),
    "cliff": (settings.clipping(), settings.rate(1 / 10), settings.clipping(0.1)),
    "noisy_gradient": (
        settings.batch(16),
        settings.batch(128),
        settings.rate(1 / 10),
        settings.schedule("cosine"),
    ),
    "oscillating_loss": (
        settings.momentum(0.9),
        settings.rate(1 / 10),
        settings.clipping(),
        settings.schedule("cosine"),
    ),
    "overfitting": (
        settings.stopping(),
        settings.decay(1e-2),
        models.dropout(0.5),
        settings.decay(1e-1),
        settings.decay(1e-3),
        settings.rate(1 / 10),
    ),
    "underfitting": (
        costs.fitting_targets(),
        models.unfrozen(),
        models.nonlinear(),
        models.hidden_layer(),
        models.taken_out(),
        settings.remembering(),
        settings.plain_rule(),
        settings.rate(10),
        settings.optimizer("adam"),
        models.no_dropout(),
        models.long_memory(),
        models.wider(),
    ),
    "not_finite": (
        models.taken_out(),
        models.finite_softmax(),
        data.standardized(),
        settings.rate(1 / 10),
        costs.cross_entropy(),
        settings.clipping(),
        models.no_ending(),
    ),
    "unscaled_inputs": (data.standardized(), models.batch_norm()),
    "wrong_output": (
        models.sigmoid_ending(),
        models.no_ending(),
        costs.cross_entropy(),
        settings.begin("glorot_uniform"),
    ),
    "cost_target_mismatch": (
        costs.fitting_targets(),
        costs.cross_entropy_by_place(),
        costs.cross_entropy(),
        models.no_ending(),
    ),
    "constant_output": (
        models.taken_out(),
        models.no_dropout(),
        settings.begin("glorot_uniform"),
        settings.rate(1 / 10),
        settings.rate(10),
        data.standardized(),
    ),
    "frozen_parameters": (
        models.unfrozen(),
        models.taken_out(),
        settings.begin("glorot_uniform"),
    ),
    "shuffled_labels": (),
    "batch_norm_misuse": (
        models.usual_batch_norm(),
        settings.batch(16),
        models.no_batch_norm(),
    ),
}
"""Shuffled labels have none: the data are to be looked at."""

USUAL: Sequence[Remedy] = (
    settings.rate(10),
    settings.rate(1 / 10),
    settings.optimizer("adam"),
    data.standardized(),
)
"""What helps most trainings that something is wrong with, whatever it is. Tried last."""


def changes_for(findings: Sequence[Finding], patient: Patient) -> list[tuple[Change, int]]:
    """What to try, and at which step the trouble began that it is for.

    By turns from each finding's list, the worst finding's first; then what is usual. None twice.
    """
    lists = [(_made(REMEDIES[f.kind], patient), f.step) for f in findings]
    chosen: dict[str, tuple[Change, int]] = {}
    while any(left for left, _ in lists):
        for left, step in lists:
            new = next((change for change in left if change.name not in chosen), None)
            left[:] = left[left.index(new) + 1 :] if new else []
            if new:
                chosen[new.name] = (new, step)
    if chosen:
        for change in _made(USUAL, patient):
            chosen.setdefault(change.name, (change, findings[0].step))
    return list(chosen.values())


def _made(remedies: Sequence[Remedy], patient: Patient) -> list[Change]:
    return [change for remedy in remedies for change in remedy(patient)]
