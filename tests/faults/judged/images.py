"""Judging faults of networks that read MNIST: multilayer, convolutional, recurrent, by attention."""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import nn

from ravine import chain, decoupled, initializers, rules, schedules
from tests.faults.costs import squared
from tests.faults.form import Case, Setup, case, varied
from tests.faults.judged import costs, data
from tests.faults.judged.models import Patches, Reader, flat_mlp, strided, tower
from tests.faults.models import Detached
from tests.faults.starts import biases, scaled
from tests.faults.tasks import task

MNIST = Setup(
    partial(
        task,
        name="mnist-mlp",
        data=partial(data.mnist),
        model=partial(flat_mlp, sizes=(196, 48, 10)),
        steps=250,
        batch_size=50,
    ),
    optimizer="nesterov",
    lr=0.02,
)
THREE = varied(
    MNIST, {"model.sizes": (196, 64, 64, 64, 10)}, optimizer="rmsprop", lr=1e-3, init="he_normal"
)
TOWER = varied(
    MNIST,
    {"model": partial(tower, inputs=196, width=32, blocks=12, outputs=10, activation=nn.Sigmoid)},
    optimizer="momentum",
    lr=0.02,
)
TANHS = varied(
    MNIST,
    {"model.sizes": (196, 50, 50, 10), "model.activation": nn.Tanh},
    optimizer="momentum",
    lr=0.02,
    init="glorot_normal",
)
PAIRS = varied(
    MNIST,
    {
        "data": partial(data.mnist_pairs, signed=True),
        "model": partial(flat_mlp, sizes=(196, 24, 1)),
        "cost": costs.hinge,
        "metric": costs.wrong_side,
        "steps": 150,
    },
    optimizer="adam",
    lr=2e-3,
)
PICTURES = varied(
    MNIST,
    {
        "data": partial(data.mnist_pixels),
        "model": partial(flat_mlp, sizes=(196, 64, 12, 64, 196), output=nn.Sigmoid),
        "cost": squared,
        "metric": squared,
        "steps": 300,
    },
    optimizer="adam",
    lr=3e-3,
)
CODES = varied(
    PICTURES,
    {
        "model": partial(flat_mlp, sizes=(196, 64, 12, 64, 196)),
        "cost": F.binary_cross_entropy_with_logits,
        "metric": F.binary_cross_entropy_with_logits,
    },
)
STRIDED = Setup(
    partial(
        task,
        name="mnist-strided",
        data=partial(data.mnist),
        model=partial(strided, channels=(8, 16)),
        steps=250,
        batch_size=32,
    ),
    optimizer="adamw",
    lr=5e-3,
)
NORMED = varied(
    STRIDED,
    {"model.norm": partial(nn.BatchNorm2d, momentum=0.1), "batch_size": 16},
    optimizer="momentum",
    lr=0.02,
)
POOLED = varied(STRIDED, {"model.channels": (8, 16, 24), "model.pooled": nn.Identity})
LINES = Setup(
    partial(
        task,
        name="mnist-lines",
        data=partial(data.mnist),
        model=partial(Reader, cell=nn.GRU, inputs=14, hidden=24, outputs=10),
        steps=250,
        batch_size=32,
    ),
    optimizer="rmsprop",
    lr=7e-3,
)
QUARTERS = Setup(
    partial(
        task,
        name="mnist-quarters",
        data=partial(data.mnist),
        model=partial(Patches),
        steps=200,
        batch_size=32,
    ),
    optimizer="adamw",
    lr=2e-3,
)

CASES: tuple[Case, ...] = (
    # signals and gradients through depth
    case("mnist-tower-unskipped", "vanishing_gradients", TOWER, "model.skip", 0.0),
    case(
        "mnist-strided-eight-tanhs-small",
        "vanishing_gradients bad_scale_at_start",
        varied(
            STRIDED,
            {"model.channels": (8,) * 7, "model.activation": nn.Tanh},
            optimizer="momentum",
            lr=0.03,
            init="glorot_normal",
        ),
        "init",
        initializers.random_normal(stddev=0.03),
    ),
    case(
        "mnist-strided-weights-x4",
        "exploding_gradients bad_scale_at_start",
        varied(
            STRIDED, {"model.channels": (10,) * 6}, optimizer="momentum", lr=0.01, init="he_normal"
        ),
        "init",
        initializers.variance_scaling(scale=32.0),
    ),
    case(
        "mnist-lines-weights-x8",
        "saturated_units bad_scale_at_start exploding_gradients",
        varied(LINES, {"model.cell": nn.RNN}, optimizer="adam", lr=4e-3),
        "init",
        partial(scaled, factor=8.0),
    ),
    # units
    case(
        "mnist-negative-weights",
        "dying_relus",
        varied(
            MNIST,
            {
                "data": partial(data.mnist, raw=True, scale=1 / 255),
                "model.sizes": (196, 48, 48, 10),
            },
            optimizer="adam",
            lr=2e-3,
            init=initializers.random_uniform(minval=-0.1, maxval=0.1),
        ),
        "init",
        initializers.random_uniform(minval=-0.2, maxval=0.0),
    ),
    case("mnist-strided-biases-down", "dying_relus", STRIDED, "init", partial(biases, value=-6.0)),
    case(
        "mnist-relus-killed-by-warmth",
        "dying_relus lr_too_high",
        THREE,
        "schedule",
        schedules.piecewise([15], [300.0, 1.0]),
    ),
    case(
        "mnist-tanh-of-gray-values",
        "unscaled_inputs saturated_units",
        varied(TANHS, {"data": partial(data.mnist, raw=True, scale=1 / 255)}, lr=0.05),
        "data.scale",
        1.0,
    ),
    case(
        "mnist-tanh-unit-normal",
        "saturated_units bad_scale_at_start",
        TANHS,
        "init",
        initializers.random_normal(stddev=1.5),
    ),
    case(
        "mnist-strided-ones",
        "symmetric_start",
        varied(STRIDED, {"model.activation": nn.Tanh}),
        "init",
        initializers.constant(0.1),
    ),
    case("mnist-pictures-zeros", "symmetric_start", CODES, "init", "zeros"),
    case(
        "mnist-weights-x40",
        "bad_scale_at_start",
        varied(MNIST, optimizer="rmsprop", lr=1e-3),
        "init",
        partial(scaled, factor=40.0),
    ),
    # rates
    case("mnist-nesterov-rate-x40", "lr_too_high", MNIST, "lr", 0.8),
    case("mnist-quarters-rate-x50", "lr_too_high", QUARTERS, "lr", 0.1),
    case("mnist-strided-rate-x60", "lr_too_high", STRIDED, "lr", 0.3),
    case("mnist-nesterov-rate-/500", "lr_too_low", MNIST, "lr", 4e-5),
    case("mnist-quarters-rate-/400", "lr_too_low", QUARTERS, "lr", 5e-6),
    case(
        # hard: what it learns, it learns in the first steps, at a good rate
        "mnist-decays-at-once",
        "lr_too_low",
        varied(STRIDED, optimizer="momentum", lr=0.04),
        "schedule",
        schedules.exponential(0.3),
    ),
    case(
        "mnist-momentum-0.998",
        "oscillating_loss lr_too_high",
        varied(THREE, optimizer=rules.nesterov(momentum=0.9), lr=0.03),
        "optimizer",
        rules.nesterov(momentum=0.998),
    ),
    case(
        "mnist-strided-batch-of-one",
        "noisy_gradient lr_too_high",
        varied(STRIDED, {"steps": 300}, optimizer="nesterov", lr=0.03),
        "batch_size",
        1,
    ),
    # generalization
    case(
        "mnist-eighty-images",
        "overfitting",
        varied(STRIDED, {"metric": None, "steps": 400, "model.channels": (16, 32)}, lr=3e-3),
        "data.examples",
        80,
    ),
    case(
        "mnist-wrong-labels-by-heart",
        "overfitting",
        varied(
            MNIST,
            {
                "metric": None,
                "data.noise": 0.4,
                "data.examples": 600,
                "model.sizes": (196, 200, 10),
                "steps": 500,
            },
            optimizer=chain(decoupled(2.0), rules.adam()),
            lr=3e-3,
        ),
        "optimizer",
        "adam",
    ),
    case("mnist-one-filter", "underfitting", STRIDED, "model.channels", (1, 1)),
    case(
        "mnist-channels-dropped",
        "underfitting",
        varied(STRIDED, {"model.dropout": 0.05}),
        "model.dropout",
        0.9,
    ),
    case(
        "mnist-lines-of-two-units",
        "underfitting",
        LINES,
        "model.hidden",
        2,
    ),
    # data
    case(
        "mnist-gray-values",
        "unscaled_inputs",
        varied(
            STRIDED,
            {"data": partial(data.mnist, raw=True, scale=1 / 255)},
            optimizer="momentum",
            lr=0.05,
        ),
        "data.scale",
        1.0,
    ),
    case(
        "mnist-quarters-off-center",
        "unscaled_inputs",
        varied(QUARTERS, lr=2e-3),
        "data.offset",
        100.0,
    ),
    case("mnist-labels-permuted", "shuffled_labels", STRIDED, "data.shuffled", True),
    case("mnist-lines-permuted", "shuffled_labels", LINES, "data.shuffled", True),
    # outputs and costs
    case(
        "mnist-softmax-twice", "wrong_output", STRIDED, "model.output", partial(nn.Softmax, dim=1)
    ),
    case(
        "mnist-softmax-over-examples",
        "wrong_output",
        MNIST,
        "model.output",
        partial(nn.Softmax, dim=0),
    ),
    case(
        "mnist-pictures-to-255",
        "cost_target_mismatch wrong_output",
        PICTURES,
        "data.target_scale",
        255.0,
    ),
    case("mnist-hinge-of-zeros", "cost_target_mismatch", PAIRS, "data.signed", False),
    case(
        "mnist-nll-of-scores",
        "cost_target_mismatch wrong_output",
        varied(STRIDED, {"metric": F.cross_entropy}),
        "cost",
        costs.likelihood,
    ),
    case(
        "mnist-group-norm-of-one",
        "constant_output",
        varied(POOLED, {"model.pooled": partial(nn.GroupNorm, num_groups=4, num_channels=24)}),
        "model.pooled.num_groups",
        24,
    ),
    # parts that do not learn
    case(
        "mnist-body-frozen",
        "frozen_parameters",
        varied(MNIST, {"model.sizes": (196, 48, 16, 16, 10)}, optimizer="adam", lr=3e-3),
        "model.trainable",
        False,
    ),
    case("mnist-lines-frozen", "frozen_parameters", LINES, "model.frozen", True),
    case(
        "mnist-quarters-detached",
        "frozen_parameters",
        varied(QUARTERS, {"model.width": 16}),
        "model.middle",
        Detached,
    ),
    # batch normalization
    case(
        "mnist-norms-stale",
        "batch_norm_misuse",
        varied(NORMED, {"data.offset": 1.0}),
        "model.norm.momentum",
        3e-4,
    ),
    case(
        "mnist-norms-of-two",
        "batch_norm_misuse noisy_gradient",
        varied(NORMED, {"model.channels": (8, 16, 16), "steps": 400}, lr=0.03),
        "batch_size",
        2,
    ),
)
