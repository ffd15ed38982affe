"""Faults of recurrent networks: remember the first element, foretell a wave."""

from __future__ import annotations

from functools import partial

from torch import nn

from ravine import chain, clip_norm, initializers, rules
from tests.faults.form import Case, case, changed
from tests.faults.starts import recurrent, scaled
from tests.faults.tasks import MEMORY, WAVES

ELMAN = changed(changed(MEMORY, "model.cell", nn.RNN), "init", partial(recurrent, radius=1.0))
ELMAN = changed(ELMAN, "lr", 3e-3)
CLIPPED = changed(changed(ELMAN, "optimizer", chain(clip_norm(1.0), rules.sgd())), "lr", 0.3)
CLIPPED = changed(changed(CLIPPED, "init", partial(recurrent, radius=1.3)), "data.length", 20)
ELMAN_WAVES = changed(changed(WAVES, "model.cell", nn.RNN), "init", partial(recurrent, radius=0.9))

CASES: tuple[Case, ...] = (
    case("elman-forgets", "vanishing_gradients", ELMAN, "init", partial(recurrent, radius=0.1)),
    case(
        "elman-spectral-radius-3",
        "exploding_gradients saturated_units bad_scale_at_start",
        ELMAN_WAVES,
        "init",
        partial(recurrent, radius=3.0),
    ),
    case("elman-unclipped", "cliff exploding_gradients", CLIPPED, "optimizer", "sgd"),
    case(
        "gru-weights-x15",
        "saturated_units bad_scale_at_start",
        MEMORY,
        "init",
        partial(scaled, factor=15.0),
    ),
    case("gru-constant-start", "symmetric_start", MEMORY, "init", initializers.constant(0.1)),
    case("lstm-rate-x100", "lr_too_high", WAVES, "lr", 1.0),
    case("gru-rate-/1000", "lr_too_low", MEMORY, "lr", 1e-5),
    case(
        "lstm-frozen", "frozen_parameters", changed(WAVES, "model.hidden", 12), "model.frozen", True
    ),
    case("waves-rolled", "shuffled_labels", WAVES, "data.roll", 1),
    case("lstm-relu-output", "wrong_output", WAVES, "model.output", nn.ReLU),
)
