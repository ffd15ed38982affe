"""Judging faults on functions of a few parameters, on factors, bumps, lines, arms of spirals."""

from __future__ import annotations

from functools import partial

from torch import nn

from ravine import chain, clip_norm, initializers, rules
from tests.faults.costs import squared
from tests.faults.form import Case, Setup, case, varied
from tests.faults.judged import costs, data
from tests.faults.judged.models import Bumps, Factors, Line, flat_mlp
from tests.faults.models import Point
from tests.faults.starts import scaled
from tests.faults.tasks import task

ELLIPSOID = Setup(
    partial(
        task,
        name="ellipsoid",
        data=partial(data.no_data, noise=0.01, dimensions=6),
        model=partial(Point, at=(1.5, -1.0, 0.5, 2.0, -1.5, 1.0), spread=0.2),
        steps=150,
        cost=partial(costs.ellipsoid, condition=8.0),
        metric=partial(costs.ellipsoid, condition=1.0),
        batch_size=16,
    ),
    optimizer="sgd",
    lr=0.2,
)
HIMMELBLAU = varied(
    ELLIPSOID,
    {
        "data": partial(data.no_data),
        "model": partial(Point, at=(0.5, 2.0)),
        "cost": costs.himmelblau,
        "metric": costs.himmelblau,
        "steps": 100,
    },
    lr=0.3,
)
SHELF = varied(
    ELLIPSOID,
    {
        "data": partial(data.no_data, noise=0.02, dimensions=3),
        "model": partial(Point, at=(1.0, -0.8, 0.6), spread=0.1),
        "cost": costs.shelf,
        "metric": costs.shelf,
    },
    optimizer="momentum",
    lr=0.03,
)
RATINGS = Setup(
    partial(
        task,
        name="ratings",
        data=partial(data.ratings),
        model=partial(Factors),
        steps=400,
        cost=squared,
        metric=squared,
        batch_size=30,
    ),
    optimizer="rmsprop",
    lr=2e-2,
)
LINE = Setup(
    partial(
        task,
        name="line",
        data=partial(data.peak),
        model=partial(Line),
        steps=200,
        cost=squared,
        metric=squared,
        batch_size=50,
    ),
    optimizer="sgd",
    lr=0.5,
)
SPIRALS = Setup(
    partial(
        task,
        name="spirals",
        data=partial(data.spirals),
        model=partial(flat_mlp, sizes=(2, 40, 40, 3)),
        steps=300,
        batch_size=50,
    ),
    optimizer="adam",
    lr=1e-2,
)
BUMPS = varied(SPIRALS, {"model": partial(Bumps)}, lr=3e-2)
ARM = Setup(
    partial(
        task,
        name="robot-arm",
        data=partial(data.robot),
        model=partial(flat_mlp, sizes=(2, 32, 32, 2), activation=nn.Tanh),
        steps=300,
        cost=squared,
        metric=squared,
        batch_size=32,
    ),
    optimizer="rmsprop",
    lr=3e-3,
)

CASES: tuple[Case, ...] = (
    case("ellipsoid-2000", "ill_conditioned", ELLIPSOID, "cost.condition", 2000.0),
    case("himmelblau-saddle", "saddle", HIMMELBLAU, "model.at", (0.0866775, 2.8842547)),
    case("shelf-far-out", "plateau", SHELF, "model.at", (6.0, -5.5, 6.5)),
    case(
        "ratings-near-zero",
        "saddle bad_scale_at_start",
        varied(RATINGS, {"steps": 200}, optimizer="momentum", lr=0.2),
        "model.spread",
        1e-6,
    ),
    case("ratings-equal", "symmetric_start", RATINGS, "model.equal", True),
    case("ratings-rate-x50", "lr_too_high", RATINGS, "lr", 1.0),
    case("line-missed", "plateau", LINE, "model.at", -3.5),
    case("bumps-far-away", "plateau bad_scale_at_start", BUMPS, "model.spread", 30.0),
    case("spirals-by-lines", "underfitting", SPIRALS, "model.sizes", (2, 3)),
    case("spirals-two-bumps", "underfitting", BUMPS, "model.count", 2),
    case(
        "spirals-x0.01",
        "unscaled_inputs",
        varied(SPIRALS, optimizer="momentum", lr=0.1),
        "data.scale",
        0.01,
    ),
    case("spirals-rate-x300", "lr_too_high", SPIRALS, "lr", 3.0),
    case(
        "spirals-constant",
        "symmetric_start",
        varied(SPIRALS, {"model.activation": nn.Tanh}),
        "init",
        initializers.constant(0.3),
    ),
    case(
        "arm-broken-sensor",
        "cliff",
        varied(ARM, {"data.tails": 0.01}, optimizer=chain(clip_norm(0.3), rules.sgd()), lr=0.3),
        "optimizer",
        "sgd",
    ),
    case("arm-sigmoid-output", "wrong_output", ARM, "model.output", nn.Sigmoid),
    case("arm-rate-/1000", "lr_too_low", ARM, "lr", 3e-6),
    case(
        "arm-start-x30",
        "saturated_units bad_scale_at_start",
        ARM,
        "init",
        partial(scaled, factor=30.0),
    ),
    case(
        "arm-underdamped",
        "oscillating_loss",
        varied(ARM, {"batch_size": 300}, optimizer=rules.momentum(momentum=0.9), lr=0.1),
        "optimizer",
        rules.momentum(momentum=0.998),
    ),
)
