"""Faults of small transformers: digits read row by row, words turned around."""

from __future__ import annotations

from functools import partial

from ravine import initializers
from tests.faults import costs
from tests.faults.form import Case, case, changed
from tests.faults.models import Detached
from tests.faults.starts import scaled
from tests.faults.tasks import ROWS, TAGS

CASES: tuple[Case, ...] = (
    case("transformer-rate-x100", "lr_too_high", ROWS, "lr", 0.3),
    case("transformer-rate-/300", "lr_too_low", ROWS, "lr", 1e-5),
    case("class-token-sees-nothing", "constant_output", ROWS, "model.mask", 1),
    case("attention-to-nothing", "not_finite", ROWS, "model.mask", 0),
    case(
        "transformer-frozen",
        "frozen_parameters",
        changed(ROWS, "model.width", 16),
        "model.frozen",
        True,
    ),
    case("transformer-detached", "frozen_parameters", ROWS, "model.middle", Detached),
    case("tags-rolled", "shuffled_labels", TAGS, "data.roll", 1),
    case("places-taken-for-classes", "cost_target_mismatch", TAGS, "cost", costs.by_place_swapped),
    case(
        "transformer-weights-x6",
        "bad_scale_at_start exploding_gradients saturated_units",
        ROWS,
        "init",
        partial(scaled, factor=6.0),
    ),
    case(
        "transformer-constant-start", "symmetric_start", ROWS, "init", initializers.constant(0.05)
    ),
)
