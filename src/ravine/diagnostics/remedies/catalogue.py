"""Kind of finding -> changes to try, the likeliest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ravine.diagnostics.finding import Finding
from ravine.diagnostics.patient import Change
from ravine.diagnostics.remedies import data, models, settings

MOST = 6
"""Changes that one visit tries: each costs a third of a training."""

REMEDIES: Mapping[str, Sequence[Change]] = {
    "vanishing_gradients": (
        settings.begin("glorot_uniform"),
        models.activation("ReLU"),
        models.batch_norm(),
        settings.begin("he_normal"),
    ),
    "exploding_gradients": (
        settings.clipping(),
        settings.begin("glorot_uniform"),
        settings.begin("he_normal"),
        settings.rate(1 / 10),
    ),
    "dying_relus": (
        settings.begin("he_normal"),
        settings.rate(1 / 10),
        models.activation("LeakyReLU"),
    ),
    "saturated_units": (
        settings.begin("glorot_uniform"),
        models.activation("ReLU"),
        models.batch_norm(),
        data.standardized(),
    ),
    "symmetric_start": (settings.begin("glorot_uniform"), settings.begin("he_normal")),
    "bad_scale_at_start": (
        settings.begin("glorot_uniform"),
        settings.begin("he_normal"),
        settings.begin("lsuv"),
    ),
    "lr_too_high": (settings.rate(1 / 3), settings.rate(1 / 10), settings.rate(1 / 30)),
    "lr_too_low": (settings.rate(10), settings.rate(100), settings.rate(1000)),
    "ill_conditioned": (settings.optimizer("adam"), data.standardized(), settings.rate(1 / 3)),
    "plateau": (settings.rate(10), settings.optimizer("adam"), settings.begin("glorot_uniform")),
    "saddle": (settings.begin("glorot_uniform"), settings.optimizer("adam"), settings.rate(10)),
    "cliff": (settings.clipping(), settings.rate(1 / 10)),
    "noisy_gradient": (settings.rate(1 / 10), settings.batch(16), settings.schedule("cosine")),
    "oscillating_loss": (
        settings.rate(1 / 10),
        settings.momentum(0.9),
        settings.schedule("linear"),
    ),
    "overfitting": (settings.stopping(), settings.decay(1e-2), settings.decay(1e-3)),
    "underfitting": (
        settings.optimizer("adam"),
        settings.rate(10),
        models.unfrozen(),
    ),
    "not_finite": (
        settings.rate(1 / 10),
        data.standardized(),
        settings.clipping(),
        models.no_ending(),
    ),
    "unscaled_inputs": (data.standardized(),),
    "wrong_output": (models.no_ending(), models.cross_entropy()),
    "cost_target_mismatch": (models.fitting_targets(), models.cross_entropy()),
    "constant_output": (settings.begin("he_normal"), settings.rate(1 / 10), settings.rate(10)),
    "frozen_parameters": (models.unfrozen(),),
    "shuffled_labels": (),
    "batch_norm_misuse": (
        models.usual_batch_norm(),
        settings.batch(16),
        models.no_batch_norm(),
    ),
}
"""Shuffled labels have none: the data are to be looked at."""


def changes_for(findings: Sequence[Finding]) -> list[Change]:
    """What to try, by turns from each finding's list, the worst finding's first; none twice."""
    lists = [list(REMEDIES[finding.kind]) for finding in findings]
    chosen: dict[str, Change] = {}
    while any(lists) and len(chosen) < MOST:
        for left in lists:
            if left and len(chosen) < MOST:
                change = left.pop(0)
                chosen.setdefault(change.name, change)
    return list(chosen.values())
