"""Judging healthy runs, none of them a case's twin: other optimizers, depths, costs, data, lengths."""

from __future__ import annotations

from functools import partial

from torch import nn

from ravine import (
    accumulate,
    chain,
    clip_norm,
    clip_value,
    exponential_average,
    l2,
    polyak,
    rules,
)
from tests.faults.costs import one_hot_squared, sign_error
from tests.faults.form import Setup
from tests.faults.healthy import run
from tests.faults.judged import costs
from tests.faults.judged.functions import ARM, BUMPS, ELLIPSOID, LINE, RATINGS, SPIRALS
from tests.faults.judged.images import (
    CODES,
    LINES,
    MNIST,
    NORMED,
    PAIRS,
    PICTURES,
    QUARTERS,
    STRIDED,
    TANHS,
    TOWER,
)
from tests.faults.judged.sequences import (
    COUNTED,
    FILTERED,
    GESTURES,
    LETTERS,
    PRICES,
    SIGNALS,
)
from tests.faults.judged.tables import (
    CELLS,
    COUNTS,
    DIABETES,
    FRIEDMAN,
    IRIS,
    POWERS,
    SPECTRA,
    WINE,
)

HEALTHY: tuple[Setup, ...] = (
    # optimizers
    run(
        "mnist-softmax-regression", MNIST, {"model.sizes": (196, 10)}, optimizer="momentum", lr=0.01
    ),
    run("mnist-radam", MNIST, optimizer="radam", lr=5e-3),
    run("mnist-adamax", MNIST, optimizer="adamax", lr=5e-3),
    run("mnist-sign-descent", MNIST, optimizer="sign_sgd", lr=1e-3),
    run("mnist-adafactor", MNIST, optimizer="adafactor", lr=1e-2),
    run("mnist-lars", MNIST, optimizer="lars", lr=3.0),
    run("mnist-free-adamw", MNIST, optimizer="schedule_free_adamw", lr=1e-2),
    run(
        "cells-rprop",
        CELLS,
        {"batch_size": None, "steps": 60, "metric": sign_error},
        optimizer="rprop",
        lr=1e-3,
    ),
    run("wine-asgd", WINE, {"steps": 250}, optimizer="asgd", lr=0.1),
    run("iris-rmsprop-momentum", IRIS, optimizer="rmsprop_momentum", lr=3e-3),
    run(
        "mnist-averaged",
        MNIST,
        {"steps": 350},
        optimizer=chain(exponential_average(0.95), rules.sgd()),
        lr=0.1,
    ),
    run("friedman-polyak", FRIEDMAN, optimizer=chain(polyak(start=150), rules.adam()), lr=5e-3),
    run(
        "mnist-accumulated",
        MNIST,
        {"batch_size": 16, "steps": 400},
        optimizer=chain(accumulate(4), rules.momentum()),
        lr=0.03,
    ),
    # depths, widths, activations, normalization
    run(
        "mnist-ten-tanhs",
        TANHS,
        {"model.sizes": (196, *[40] * 10, 10)},
        optimizer="adam",
        lr=1e-3,
        init="orthogonal",
    ),
    run(
        "mnist-tower-of-relus",
        TOWER,
        {"model.activation": nn.ReLU, "model.blocks": 6},
        optimizer="adam",
        lr=2e-3,
    ),
    run(
        "mnist-selus",
        MNIST,
        {"model.sizes": (196, *[40] * 6, 10), "model.activation": nn.SELU},
        init="lecun_normal",
        optimizer="sgd",
        lr=0.03,
    ),
    run(
        "mnist-two-sigmoids",
        MNIST,
        {"model.sizes": (196, 64, 32, 10), "model.activation": nn.Sigmoid},
        optimizer="adam",
        lr=1e-2,
    ),
    run(
        "mnist-layer-norms",
        MNIST,
        {"model.sizes": (196, 64, 64, 64, 10), "model.norm": nn.LayerNorm},
        optimizer="sgd",
        lr=0.15,
    ),
    run("mnist-narrow", MNIST, {"model.sizes": (196, 12, 10)}, optimizer="adam", lr=5e-3),
    run(
        "mnist-wide-dropout",
        MNIST,
        {"model.sizes": (196, 256, 10), "model.dropout": 0.5},
        optimizer="adam",
        lr=3e-3,
    ),
    run(
        "mnist-strided-gelu-groups",
        STRIDED,
        {"model.activation": nn.GELU, "model.norm": partial(nn.GroupNorm, 4)},
        lr=5e-3,
    ),
    run("mnist-large-batch", NORMED, {"batch_size": 256, "steps": 100}, lr=0.1),
    # costs
    run("mnist-squared", MNIST, {"cost": one_hot_squared}, optimizer="adam", lr=2e-3),
    run("mnist-multi-hinge", MNIST, {"cost": costs.multi_hinge}, optimizer="adam", lr=2e-3),
    run("mnist-smoothed-labels", STRIDED, {"cost": costs.smoothed}, optimizer="adam", lr=6e-3),
    run("mnist-one-against-all", MNIST, {"cost": costs.against_one_hot}, optimizer="adam", lr=4e-3),
    run(
        "mnist-three-or-five",
        PAIRS,
        {"data.digits": (3, 5), "cost": costs.logistic_of_signs},
        lr=3e-3,
    ),
    run(
        "friedman-cauchy",
        FRIEDMAN,
        {"data.tails": True, "data.noise": 0.2, "cost": costs.huber},
        lr=3e-3,
    ),
    run(
        "diabetes-absolute",
        DIABETES,
        {"cost": costs.absolute, "metric": costs.absolute},
        optimizer="adam",
        lr=1e-2,
    ),
    run("counts-hidden", COUNTS, {"model.sizes": (6, 12, 1)}, lr=1e-2),
    run(
        "cells-log-softmax",
        CELLS,
        {
            "data.flat": True,
            "model.sizes": (30, 24, 2),
            "model.output": partial(nn.LogSoftmax, dim=1),
            "cost": costs.likelihood,
            "metric": None,
        },
        lr=0.03,
    ),
    # labels, batches, classes
    run("mnist-labels-15%-noise", STRIDED, {"data.noise": 0.15}, lr=4e-3),
    run(
        "cells-labels-10%-noise",
        CELLS,
        {"data.noise": 0.1, "metric": sign_error, "steps": 120},
        lr=0.01,
    ),
    run("wine-batch-of-one", WINE, {"batch_size": 1, "steps": 400}, optimizer="sgd", lr=0.02),
    run("mnist-batch-of-three", MNIST, {"batch_size": 3, "steps": 500}, optimizer="sgd", lr=0.02),
    run("spirals-full-batch", SPIRALS, {"batch_size": None, "steps": 250}, lr=2e-2),
    run("cells-rare-class", CELLS, {"data.rare": 0.15}, optimizer="adam", lr=2e-3),
    run(
        "friedman-sixty", FRIEDMAN, {"data.examples": 80, "data.noise": 0.0, "steps": 150}, lr=5e-3
    ),
    # rates and schedules
    run("mnist-long-and-slow", MNIST, {"steps": 600}, optimizer="sgd", lr=0.04),
    run("mnist-cosine-restarts", STRIDED, schedule="cosine_restarts", lr=1e-2),
    run("mnist-fast-sgd", MNIST, {"batch_size": 100}, optimizer="sgd", lr=0.25, schedule="linear"),
    run("quarters-warmup-cosine", QUARTERS, schedule="warmup+cosine", lr=4e-3),
    run("letters-trapezoid", LETTERS, schedule="warmup_stable_decay", lr=1.5e-2),
    run("wine-inverse-time", WINE, {"steps": 250}, schedule="inverse_time", lr=0.05),
    run("iris-as-measured", IRIS, {"data.raw": True, "steps": 300}, optimizer="adam", lr=1e-2),
    # tasks
    run("wine-softmax-regression", WINE, {"model.sizes": (13, 3)}, optimizer="adam", lr=3e-2),
    run("diabetes-line", DIABETES, {"model.sizes": (10, 1)}, lr=0.05),
    run(
        "polynomial-of-seven",
        POWERS,
        {"data.degree": 7, "model.sizes": (8, 1), "batch_size": 30},
        lr=0.02,
    ),
    run("spectra-decayed", SPECTRA, optimizer=chain(l2(1e-4), rules.nesterov()), lr=0.01),
    run("pictures-logits", CODES, {"model.sizes": (196, 32, 196)}, optimizer="adam", lr=5e-3),
    run(
        "pictures-deep",
        PICTURES,
        {"model.sizes": (196, 96, 24, 96, 196)},
        optimizer="rmsprop",
        lr=2e-3,
    ),
    run("arm-gelu", ARM, {"model.activation": nn.GELU}, optimizer="adam", lr=1e-2),
    run("arm-noisy", ARM, {"data.noise": 0.3}, optimizer="adam", lr=5e-3),
    run(
        "spirals-four-arms",
        SPIRALS,
        {"data.arms": 4, "model.sizes": (2, 40, 40, 4), "steps": 400},
        optimizer="nadam",
        lr=1e-2,
    ),
    run(
        "bumps-fixed", BUMPS, {"model.learned": False, "model.count": 80}, optimizer="adam", lr=5e-2
    ),
    run("ratings-adam", RATINGS, {"model.rank": 2}, optimizer="adam", lr=3e-2),
    run("line-adam", LINE, optimizer="adam", lr=2e-2),
    run(
        "ellipsoid-momentum",
        ELLIPSOID,
        {"cost.condition": 60.0},
        optimizer=rules.momentum(momentum=0.8),
        lr=0.05,
    ),
    # sequences
    run(
        "lines-lstm",
        LINES,
        {"model.cell": nn.LSTM, "steps": 300},
        optimizer=chain(clip_norm(1.0), rules.adam()),
        lr=2e-2,
    ),
    run("gestures-gru", GESTURES, {"model.cell": nn.GRU}, optimizer="adam", lr=8e-3),
    run(
        "signals-batch-norm",
        SIGNALS,
        {"model.norm": nn.BatchNorm1d, "batch_size": 64, "steps": 150},
        optimizer="adam",
        lr=5e-3,
    ),
    run(
        "prices-clipped",
        PRICES,
        {"model.cell": nn.LSTM},
        optimizer=chain(clip_value(0.1), rules.adam()),
        lr=1.5e-2,
    ),
    run("majority", COUNTED),
    run("reviews-filters", FILTERED, lr=3e-2),
)
