"""Judging faults on measured tables: wine, cells, diabetes, iris; and on made ones of features."""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import nn

from ravine import chain, clip_norm, decoupled, initializers, l2, rules, schedules
from tests.faults.costs import sign_error, squared, squared_broadcast
from tests.faults.form import Case, Setup, case, varied
from tests.faults.judged import costs, data
from tests.faults.judged.models import Exponential, flat_mlp
from tests.faults.models import BatchMean
from tests.faults.starts import biases, output_bias, scaled
from tests.faults.tasks import task

WINE = Setup(
    partial(
        task,
        name="wine",
        data=partial(data.wine),
        model=partial(flat_mlp, sizes=(13, 16, 3)),
        steps=150,
        batch_size=16,
    ),
    optimizer="momentum",
    lr=0.02,
)
CELLS = Setup(
    partial(
        task,
        name="cells",
        data=partial(data.cancer),
        model=partial(flat_mlp, sizes=(30, 24, 24, 1), activation=nn.Tanh),
        steps=200,
        cost=F.binary_cross_entropy_with_logits,
        metric=F.binary_cross_entropy_with_logits,
        batch_size=32,
    ),
    optimizer="nesterov",
    lr=0.02,
)
DEEP_CELLS = varied(
    CELLS,
    {
        "model": partial(flat_mlp, sizes=(30, *[20] * 9, 1), activation=nn.ReLU),
        "metric": sign_error,
    },
    optimizer="adamw",
    lr=2e-3,
    init="he_uniform",
)
DIABETES = Setup(
    partial(
        task,
        name="diabetes",
        data=partial(data.diabetes),
        model=partial(flat_mlp, sizes=(10, 16, 1)),
        steps=150,
        cost=squared,
        metric=squared,
        batch_size=20,
    ),
    optimizer="sgd",
    lr=0.03,
)
IRIS = Setup(
    partial(
        task,
        name="iris",
        data=partial(data.iris),
        model=partial(flat_mlp, sizes=(4, 12, 12, 3), activation=nn.ELU),
        steps=200,
        batch_size=10,
        metric=None,
    ),
    optimizer="adagrad",
    lr=0.05,
)
FRIEDMAN = Setup(
    partial(
        task,
        name="friedman",
        data=partial(data.friedman),
        model=partial(flat_mlp, sizes=(10, 40, 40, 1)),
        steps=300,
        cost=squared,
        metric=squared,
        batch_size=32,
    ),
    optimizer="adamw",
    lr=5e-3,
)
COUNTS = Setup(
    partial(
        task,
        name="counts",
        data=partial(data.counts),
        model=partial(flat_mlp, sizes=(6, 1)),
        steps=200,
        cost=costs.poisson_of_log,
        metric=costs.poisson_of_log,
        batch_size=32,
    ),
    optimizer="adam",
    lr=2e-2,
)
SPECTRA = Setup(
    partial(
        task,
        name="spectra",
        data=partial(data.spectra),
        model=partial(flat_mlp, sizes=(30, 1)),
        steps=300,
        cost=squared,
        metric=squared,
        batch_size=40,
    ),
    optimizer="sgd",
    lr=0.1,
)
POWERS = varied(
    SPECTRA,
    {"data": partial(data.polynomial), "model.sizes": (10, 1), "batch_size": None},
    optimizer="sgd",
    lr=0.2,
)
NORMED = varied(
    DIABETES,
    {
        "data": partial(data.friedman),
        "model.norm": partial(nn.BatchNorm1d, momentum=0.1),
        "model.sizes": (10, 32, 32, 1),
        "steps": 250,
    },
    optimizer="adam",
    lr=1e-2,
)

CASES: tuple[Case, ...] = (
    # depth, units, starts
    case(
        "cells-deep-sigmoids",
        "vanishing_gradients",
        varied(DEEP_CELLS, optimizer="nesterov", lr=0.02),
        "model.activation",
        nn.Sigmoid,
    ),
    case(
        "cells-deep-large-weights",
        "exploding_gradients bad_scale_at_start",
        varied(DEEP_CELLS, optimizer="sgd", lr=0.02),
        "init",
        initializers.variance_scaling(scale=14.0),
    ),
    case(
        "diabetes-biases-down",
        "dying_relus",
        varied(DIABETES, optimizer="rmsprop", lr=3e-3),
        "init",
        partial(biases, value=-12.0),
    ),
    case(
        "cells-weights-x25",
        "saturated_units bad_scale_at_start",
        CELLS,
        "init",
        partial(scaled, factor=25.0),
    ),
    case(
        "wine-constant-start",
        "symmetric_start",
        varied(WINE, {"model.sizes": (13, 8, 8, 3)}),
        "init",
        initializers.constant(0.2),
    ),
    case("friedman-zeros", "symmetric_start", FRIEDMAN, "init", "zeros"),
    case(
        "wine-tiny-start",
        "bad_scale_at_start vanishing_gradients saddle",
        varied(
            WINE,
            {"model.sizes": (13, 16, 16, 16, 3), "model.activation": nn.Tanh},
            init="lecun_normal",
        ),
        "init",
        initializers.random_normal(stddev=2e-3),
    ),
    case(
        "friedman-unit-normal",
        "bad_scale_at_start",
        varied(FRIEDMAN, optimizer="adam", lr=3e-3),
        "init",
        initializers.random_normal(stddev=1.0),
    ),
    # rates and noise
    case("wine-rate-x300", "lr_too_high", WINE, "lr", 6.0),
    case("iris-rate-x60", "lr_too_high", IRIS, "lr", 3.0),
    case("diabetes-rate-x27", "lr_too_high", DIABETES, "lr", 0.8),
    case("iris-rate-/500", "lr_too_low", IRIS, "lr", 1e-4),
    case("friedman-rate-/500", "lr_too_low", FRIEDMAN, "lr", 1e-5),
    case(
        "cells-endless-warmup",
        "lr_too_low",
        varied(CELLS, schedule=schedules.warmup(10)),
        "schedule",
        schedules.warmup(20_000),
    ),
    case(
        "diabetes-batch-of-one",
        "noisy_gradient lr_too_high",
        varied(DIABETES, {"batch_size": 50}, lr=0.08),
        "batch_size",
        1,
    ),
    case(
        "spectra-momentum-0.998",
        "oscillating_loss",
        varied(
            SPECTRA,
            {"batch_size": None, "steps": 120},
            optimizer=rules.momentum(momentum=0.8),
            lr=0.1,
        ),
        "optimizer",
        rules.momentum(momentum=0.998),
    ),
    # valleys
    case("spectra-wide-lines", "ill_conditioned", varied(SPECTRA, lr=0.03), "data.width", 0.13),
    case("polynomial-of-powers", "ill_conditioned", POWERS, "data.basis", "powers"),
    # fit
    case(
        "diabetes-by-heart",
        "overfitting",
        varied(
            DIABETES,
            {"model.sizes": (10, 100, 100, 1), "steps": 400, "data.examples": 120},
            optimizer=chain(decoupled(20.0), rules.adam()),
            lr=3e-3,
        ),
        "optimizer",
        "adam",
    ),
    case(
        "friedman-forty",
        "overfitting",
        varied(FRIEDMAN, {"data.noise": 0.5, "steps": 400}),
        "data.examples",
        40,
    ),
    case("friedman-by-a-line", "underfitting", FRIEDMAN, "model.activation", nn.Identity),
    case(
        "cells-decay-too-strong",
        "underfitting",
        varied(CELLS, optimizer=chain(l2(1e-3), rules.nesterov())),
        "optimizer",
        chain(l2(0.5), rules.nesterov()),
    ),
    case(
        "friedman-cauchy-unclipped",
        "cliff",
        varied(
            FRIEDMAN,
            {"data.tails": True},
            optimizer=chain(clip_norm(0.5), rules.momentum()),
            lr=0.006,
        ),
        "optimizer",
        "momentum",
    ),
    # numbers that are none
    case(
        "counts-log-of-negative",
        "not_finite",
        varied(
            COUNTS, {"model.output": Exponential, "cost": costs.poisson, "metric": costs.poisson}
        ),
        "model.output",
        nn.Identity,
    ),
    case("counts-overflow", "not_finite unscaled_inputs", COUNTS, "data.scale", 100.0),
    case(
        "cells-odds-by-hand",
        "not_finite",
        varied(
            CELLS,
            {
                "model.activation": nn.ReLU,
            },
            optimizer="adam",
            lr=1e-2,
        ),
        "cost",
        costs.entropy_of_odds,
    ),
    # inputs
    case("wine-as-measured", "unscaled_inputs", WINE, "data.raw", True),
    case("cells-as-measured", "unscaled_inputs saturated_units", CELLS, "data.raw", True),
    # outputs and costs
    case("diabetes-relu-output", "wrong_output", DIABETES, "model.output", nn.ReLU),
    case("diabetes-sigmoid-output", "wrong_output", DIABETES, "model.output", nn.Sigmoid),
    case(
        "cells-softmax-of-one",
        "wrong_output constant_output",
        varied(
            CELLS,
            {"model.output": nn.Sigmoid, "cost": squared, "metric": squared},
            optimizer="adam",
            lr=3e-3,
        ),
        "model.output",
        partial(nn.Softmax, dim=1),
    ),
    case("iris-sigmoid-scores", "wrong_output", IRIS, "model.output", nn.Sigmoid),
    case(
        "diabetes-broadcast",
        "cost_target_mismatch",
        varied(DIABETES, {"data.flat": True}),
        "cost",
        squared_broadcast,
    ),
    # hard: the cost falls as it should, and it is the metric alone that tells
    case("wine-classes-from-one", "cost_target_mismatch", WINE, "cost", costs.next_class),
    case("friedman-mean-of-batch", "constant_output", FRIEDMAN, "model.middle", BatchMean),
    case(
        "diabetes-norm-of-one",
        "constant_output",
        varied(
            DIABETES,
            {"model.sizes": (10, 16, 1, 1), "model.activation": nn.Tanh},
            optimizer="adam",
            lr=1e-2,
        ),
        "model.middle",
        partial(nn.LayerNorm, normalized_shape=1),
    ),
    case(
        "wine-frozen",
        "frozen_parameters",
        varied(
            WINE,
            {"model.sizes": (13, 2, 2, 3), "model.activation": nn.Tanh, "steps": 250},
            optimizer="adam",
            lr=2e-2,
        ),
        "model.trainable",
        False,
    ),
    case("cells-labels-permuted", "shuffled_labels", CELLS, "data.shuffled", True),
    case("diabetes-permuted", "shuffled_labels", DIABETES, "data.shuffled", True),
    # batch normalization
    case("friedman-norms-stale", "batch_norm_misuse", NORMED, "model.norm.momentum", 1e-4),
    case("friedman-norms-of-two", "batch_norm_misuse noisy_gradient", NORMED, "batch_size", 2),
    # saddles and plains
    case(
        "spectra-deep-near-zero",
        "saddle bad_scale_at_start",
        varied(
            SPECTRA,
            {"model": partial(flat_mlp, sizes=(30, 8, 1), activation=nn.Identity), "steps": 150},
            lr=0.01,
            init="glorot_normal",
        ),
        "init",
        initializers.random_normal(stddev=1e-7),
    ),
    case(
        "cells-odds-squared",
        "plateau saturated_units",
        varied(CELLS, {"model.output": nn.Sigmoid, "cost": squared, "metric": squared}),
        "init",
        partial(output_bias, value=-11.0),
    ),
)
