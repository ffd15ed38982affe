"""Faults of small convolutional networks on handwritten digits."""

from __future__ import annotations

from functools import partial

from torch import nn

from ravine import initializers
from tests.faults import data
from tests.faults.form import Case, case, changed
from tests.faults.models import Contrast, Detached
from tests.faults.starts import biases
from tests.faults.tasks import CNN

SGD = changed(changed(CNN, "optimizer", "momentum"), "lr", 0.02)
DEEP = changed(changed(SGD, "model.channels", (8,) * 6), "init", "he_normal")
NORMED = changed(SGD, "model.batch_norm", 0.1)
PIXELS = changed(changed(SGD, "data", partial(data.pixel_digits)), "lr", 0.05)
CONTRAST = changed(changed(PIXELS, "data.blank", 5), "model.first", partial(Contrast, eps=1e-5))
THIN = changed(CNN, "model.channels", (4, 4, 4))
NORMED_PIXELS = changed(
    changed(NORMED, "data", partial(data.pixel_digits)), "model.channels", (8,) * 4
)

CASES: tuple[Case, ...] = (
    case("cnn-deep-sigmoids", "vanishing_gradients", DEEP, "model.activation", nn.Sigmoid),
    case(
        "cnn-deep-large-weights",
        "exploding_gradients bad_scale_at_start",
        DEEP,
        "init",
        initializers.variance_scaling(scale=12.0),
    ),
    case("cnn-negative-biases", "dying_relus", SGD, "init", partial(biases, value=-5.0)),
    case(
        "cnn-constant-start",
        "symmetric_start",
        changed(SGD, "model.channels", (8, 8, 8, 8)),
        "init",
        initializers.constant(0.05),
    ),
    case("cnn-adam-rate-x100", "lr_too_high", CNN, "lr", 0.3),
    case("cnn-adam-rate-/1000", "lr_too_low", CNN, "lr", 3e-6),
    case("cnn-batch-of-one", "noisy_gradient lr_too_high", SGD, "batch_size", 1),
    case(
        "cnn-few-digits",
        "overfitting",
        changed(changed(CNN, "metric", None), "steps", 250),
        "data.examples",
        50,
    ),
    case("cnn-pixels-to-255", "unscaled_inputs", PIXELS, "data.divisor", 17.0 / 255),
    case("cnn-all-dropped", "constant_output", CNN, "model.middle", partial(nn.Dropout, p=1.0)),
    case("cnn-detached", "frozen_parameters", THIN, "model.middle", Detached),
    case("cnn-frozen", "frozen_parameters", THIN, "model.frozen", 3),
    case("cnn-labels-rolled", "shuffled_labels", CNN, "data.roll", 7),
    case("cnn-batch-norm-stale", "batch_norm_misuse", NORMED_PIXELS, "model.batch_norm", 1e-4),
    case("cnn-batch-norm-of-one", "batch_norm_misuse noisy_gradient", NORMED, "batch_size", 1),
    case("cnn-contrast-of-blank", "not_finite", CONTRAST, "model.first.eps", 0.0),
    case("cnn-softmax-twice", "wrong_output", SGD, "model.output", partial(nn.Softmax, dim=1)),
)
