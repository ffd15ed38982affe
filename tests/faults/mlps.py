"""Faults of multilayer networks on handwritten digits."""

from __future__ import annotations

from functools import partial

from torch import nn

from ravine import chain, decoupled, initializers, rules, schedules
from tests.faults import costs, data
from tests.faults.form import Case, case, changed
from tests.faults.models import BatchMean, Half, mlp
from tests.faults.starts import biases, output_bias, scaled
from tests.faults.tasks import DEEP, MLP, TANH

DEEP_TANH = changed(changed(DEEP, "model.activation", nn.Tanh), "init", "glorot_uniform")
DEEP_TANH = changed(DEEP_TANH, "lr", 0.1)
NARROW = changed(changed(MLP, "model.sizes", (64, 32, 16, 16, 10)), "optimizer", "adam")
NARROW = changed(NARROW, "lr", 5e-3)
ADAM = changed(changed(MLP, "optimizer", "adam"), "lr", 3e-3)
MOMENTUM = changed(changed(MLP, "optimizer", "momentum"), "lr", 0.03)
NORMED = changed(MLP, "model.batch_norm", 0.1)
NORMED_PIXELS = changed(
    changed(NORMED, "data", partial(data.pixel_digits)), "model.sizes", (64, *[48] * 4, 10)
)
WIDE = changed(changed(ADAM, "model.sizes", (64, 256, 10)), "steps", 400)
BY_COST = changed(changed(WIDE, "metric", None), "data.examples", 1000)
NOISY_LABELS = changed(changed(changed(WIDE, "metric", None), "data.noise", 0.4), "steps", 600)
DECAYED = changed(NOISY_LABELS, "optimizer", chain(rules.adam(), decoupled(1.0)))
SQUARED = changed(changed(ADAM, "cost", costs.one_hot_squared), "batch_size", 64)
PIXELS = changed(ADAM, "data", partial(data.pixel_digits))
PARITY = changed(
    changed(
        changed(changed(ADAM, "data", partial(data.digit_parity)), "cost", costs.bernoulli),
        "metric",
        costs.threshold_error,
    ),
    "model",
    partial(mlp, sizes=(64, 64, 1), output=nn.Sigmoid),
)
AUTOENCODER = changed(
    changed(
        changed(changed(MLP, "data", partial(data.images_alone)), "cost", costs.squared),
        "metric",
        costs.squared,
    ),
    "model",
    partial(mlp, sizes=(64, 16, 64), activation=nn.Identity),
)
AUTOENCODER = changed(
    changed(changed(AUTOENCODER, "lr", 0.3), "steps", 300), "init", "glorot_uniform"
)

CASES: tuple[Case, ...] = (
    case("deep-sigmoids", "vanishing_gradients", DEEP_TANH, "model.activation", nn.Sigmoid),
    case(
        "deep-tanh-small-weights",
        "vanishing_gradients bad_scale_at_start",
        DEEP_TANH,
        "init",
        initializers.random_normal(stddev=0.05),
    ),
    case(
        "deep-relus-large-weights",
        "exploding_gradients bad_scale_at_start",
        DEEP,
        "init",
        initializers.variance_scaling(scale=8.0),
    ),
    case(
        "deep-tanh-large-weights",
        "exploding_gradients saturated_units bad_scale_at_start",
        DEEP_TANH,
        "init",
        initializers.variance_scaling(scale=16.0),
    ),
    case("relu-negative-biases", "dying_relus", MLP, "init", partial(biases, value=-4.0)),
    case(
        "relus-killed-at-first",
        "dying_relus lr_too_high",
        changed(ADAM, "model.sizes", (64, 64, 64, 64, 10)),
        "schedule",
        schedules.piecewise([10], [100.0, 1.0]),
    ),
    case(
        "tanh-weights-x20",
        "saturated_units bad_scale_at_start",
        TANH,
        "init",
        partial(scaled, factor=20.0),
    ),
    case("constant-start", "symmetric_start", MLP, "init", initializers.constant(0.1)),
    case("zero-start", "symmetric_start", TANH, "init", "zeros"),
    case(
        "unit-normal-start",
        "bad_scale_at_start",
        changed(ADAM, "model.sizes", (64, 64, 64, 10)),
        "init",
        initializers.random_normal(stddev=1.0),
    ),
    case(
        "tiny-start",
        "bad_scale_at_start vanishing_gradients saddle",
        changed(MLP, "model.sizes", (64, 64, 64, 10)),
        "init",
        initializers.random_normal(stddev=1e-3),
    ),
    case("sgd-rate-x30", "lr_too_high", MLP, "lr", 3.0),
    case("sgd-rate-x100", "lr_too_high", TANH, "lr", 10.0),
    case(
        "adam-rate-x100",
        "lr_too_high",
        changed(ADAM, "model.sizes", (64, 64, 64, 64, 10)),
        "lr",
        0.3,
    ),
    case("sgd-rate-/1000", "lr_too_low", MLP, "lr", 1e-4),
    case("adam-rate-/1000", "lr_too_low", ADAM, "lr", 3e-6),
    case(
        "momentum-rate-/300",
        "lr_too_low",
        changed(MOMENTUM, "model.sizes", (64, 64, 64, 10)),
        "lr",
        1e-4,
    ),
    case("batch-of-one", "noisy_gradient lr_too_high", changed(MLP, "lr", 0.2), "batch_size", 1),
    case(
        "momentum-0.99",
        "oscillating_loss lr_too_high",
        changed(changed(MOMENTUM, "model.sizes", (64, 64, 64, 10)), "lr", 0.05),
        "optimizer",
        rules.momentum(momentum=0.99),
    ),
    case("few-digits", "overfitting", BY_COST, "data.examples", 60),
    case("noise-by-heart", "overfitting", DECAYED, "optimizer", "adam"),
    case("two-hidden-units", "underfitting", ADAM, "model.sizes", (64, 2, 10)),
    case(
        "too-much-decay",
        "underfitting",
        ADAM,
        "optimizer",
        chain(rules.adam(), decoupled(100.0)),
    ),
    case(
        "half-precision",
        "not_finite",
        changed(MLP, "model.middle", partial(Half, gain=1.0)),
        "model.middle.gain",
        1e5,
    ),
    case(
        "log-of-zero", "not_finite", changed(ADAM, "data.scale", 30.0), "cost", costs.log_of_softmax
    ),
    case(
        "exponentials-overflow",
        "not_finite",
        changed(changed(ADAM, "data.scale", 20.0), "lr", 1e-2),
        "cost",
        costs.exp_over_sum,
    ),
    case("digits-x255", "unscaled_inputs", MLP, "data.scale", 255.0),
    case("digits-off-center", "unscaled_inputs ill_conditioned", MLP, "data.offset", 10.0),
    case("one-pixel-x1e4", "unscaled_inputs", MLP, "data.feature_scale", 1e4),
    case("softmax-twice", "wrong_output", MLP, "model.output", partial(nn.Softmax, dim=1)),
    case(
        "sigmoid-before-cross-entropy",
        "wrong_output cost_target_mismatch",
        MLP,
        "model.output",
        nn.Sigmoid,
    ),
    case("softmax-of-one", "wrong_output", PARITY, "model.output", partial(nn.Softmax, dim=1)),
    case("squared-class-numbers", "cost_target_mismatch", SQUARED, "cost", costs.index_squared),
    case("pixels-divided-whole", "constant_output", PIXELS, "data.whole", True),
    case("mean-over-examples", "constant_output", ADAM, "model.middle", BatchMean),
    case("hidden-layers-frozen", "frozen_parameters", NARROW, "model.frozen", 3),
    case("labels-rolled", "shuffled_labels", ADAM, "data.roll", 1),
    case("batch-norm-stale", "batch_norm_misuse", NORMED_PIXELS, "model.batch_norm", 1e-4),
    case("batch-norm-of-two", "batch_norm_misuse noisy_gradient", NORMED, "batch_size", 2),
    case(
        "autoencoder-near-zero",
        "saddle bad_scale_at_start",
        AUTOENCODER,
        "init",
        initializers.random_normal(stddev=1e-5),
    ),
    case(
        "output-bias-far-off",
        "plateau saturated_units",
        changed(changed(changed(PARITY, "cost", costs.squared), "optimizer", "sgd"), "lr", 0.5),
        "init",
        partial(output_bias, value=12.0),
    ),
)
