"""Faults on made data and on functions of a few parameters."""

from __future__ import annotations

from functools import partial

from torch import nn

from ravine import chain, clip_norm, rules
from tests.faults import costs, data
from tests.faults.form import Case, Setup, case, changed
from tests.faults.models import Point, mlp
from tests.faults.tasks import CURVE, LINEAR, task

FUNCTION = Setup(
    partial(
        task,
        name="function",
        data=partial(data.nothing, noise=0.01),
        model=partial(Point, at=(0.0, 1.2), spread=0.05),
        steps=200,
        cost=costs.gaussian_well,
        metric=costs.gaussian_well,
        batch_size=16,
    ),
    optimizer="sgd",
    lr=0.3,
)
SADDLE = changed(changed(FUNCTION, "cost", costs.double_well), "metric", costs.double_well)
SADDLE = changed(changed(SADDLE, "data.noise", 0.0), "model", partial(Point, at=(1.0, 0.5)))
SADDLE = changed(changed(SADDLE, "lr", 0.1), "steps", 150)
RAVINE = partial(costs.ravine, condition=50.0)
BOWL = changed(changed(FUNCTION, "cost", RAVINE), "metric", RAVINE)
BOWL = changed(changed(BOWL, "optimizer", rules.momentum(momentum=0.9)), "lr", 0.02)
OUTLIERS = changed(
    changed(changed(LINEAR, "data.outliers", 0.004), "lr", 0.05),
    "optimizer",
    chain(clip_norm(1.0), rules.sgd()),
)
NOISY = changed(changed(changed(LINEAR, "data.noise", 3.0), "batch_size", 256), "lr", 0.015)
RINGS = changed(
    changed(
        changed(
            changed(CURVE, "data", partial(data.rings)),
            "cost",
            nn.functional.binary_cross_entropy_with_logits,
        ),
        "metric",
        costs.sign_error,
    ),
    "model",
    partial(mlp, sizes=(2, 32, 32, 1), activation=nn.Tanh),
)

CASES: tuple[Case, ...] = (
    case(
        "correlated-features", "ill_conditioned", changed(LINEAR, "lr", 0.08), "data.condition", 1e4
    ),
    case(
        "features-of-all-scales",
        "ill_conditioned unscaled_inputs",
        changed(changed(LINEAR, "data.rotated", False), "lr", 0.08),
        "data.condition",
        1e4,
    ),
    case("far-from-the-well", "plateau", FUNCTION, "model.at", (0.0, 4.5)),
    case("on-the-saddle", "saddle", SADDLE, "model.at", (1.0, 1e-9)),
    case("outlier-unclipped", "cliff", OUTLIERS, "optimizer", "sgd"),
    case("noise-batch-of-one", "noisy_gradient", NOISY, "batch_size", 1),
    case("underdamped", "oscillating_loss", BOWL, "optimizer", rules.momentum(momentum=0.995)),
    case("line-through-rings", "underfitting", RINGS, "model.sizes", (2, 1)),
    case("line-through-a-curve", "underfitting", CURVE, "model.activation", nn.Identity),
    case("twelve-points", "overfitting", changed(CURVE, "data.noise", 0.6), "data.examples", 12),
    case(
        "broadcast",
        "cost_target_mismatch",
        changed(CURVE, "data.flat", True),
        "cost",
        costs.squared_broadcast,
    ),
    case("relu-at-a-curve", "wrong_output", CURVE, "model.output", nn.ReLU),
    case("sigmoid-at-a-curve", "wrong_output", CURVE, "model.output", nn.Sigmoid),
    case("curve-x1000", "unscaled_inputs", CURVE, "data.scale", 1000.0),
    case("curve-rolled", "shuffled_labels", CURVE, "data.roll", 1),
)
