"""Goyal et al. 2017, "Accurate, large minibatch SGD": linear scaling and warmup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch.nn.functional as F
from torch import nn

from ravine import datasets, metrics, penalties, rules
from ravine.recipes import Problem, Recipe
from ravine.recipes.images import Folder
from ravine.reproduce.claims import Claim, ahead
from ravine.reproduce.study import Given, Group, Panel, Setting, Study
from ravine.schedules import Schedule, constant, piecewise, ramp

SOURCE = "Goyal et al. 2017, Accurate, large minibatch SGD: training ImageNet in 1 hour"

BASE = 256
"""The small minibatch."""

LR = 0.1
"""Its learning rate."""

BATCHES = (256, 1024, 4096, 8192)

EPOCHS = 90

WARMUP = 5 / 90
"""Share of the training."""

DECAYS = (30 / 90, 60 / 90, 80 / 90)
"""Where in the training the learning rate falls to a tenth."""

SEEDS = 5


def falls(steps: int) -> Schedule:
    """To a tenth at each of the epochs 30, 60 and 80 of 90."""
    at = [round(share * steps) for share in DECAYS]
    if not 0 < at[0] < at[1] < at[2]:
        return constant()  # a training of fewer than five steps
    return piecewise(at, [1.0, 0.1, 0.01, 0.001])


def warmed(factor: float, steps: int) -> Schedule:
    """From η to kη by a constant amount at each step of the first 5 of 90 epochs, then as always.

        1/k + (1 - 1/k) min(t / W, 1)       a factor on kη

    Args:
        factor: k. steps: of the training.

    Source: section 2.2, "gradual warmup".
    """
    return ramp(1 / factor, 1.0, max(1, round(WARMUP * steps))) * falls(steps)


def scaled_rate(problem: Problem) -> Mapping[str, Schedule]:
    """Linear scaling with warmup; the rate that it is a factor on is kη."""
    return {"lr": warmed(problem.batch_size / BASE, problem.steps)}


def same_rate(problem: Problem) -> Mapping[str, Schedule]:
    """Neither: the small minibatch's rates."""
    return {"lr": falls(problem.steps)}


def network() -> nn.Module:
    """784-100-10 with batch norm, as networks have that are trained with large minibatches."""
    return nn.Sequential(
        *(nn.Linear(784, 100, bias=False), nn.BatchNorm1d(100), nn.ReLU(), nn.Linear(100, 10))
    )


def recipe(data: Folder, scale: float, batch_size: int) -> Recipe:
    """MNIST in minibatches of one size, for a share of the epochs; L2 on weights alone."""
    parts = datasets.mnist(data)
    return Recipe(
        name=f"batch-{batch_size}",
        model=network,
        cost=F.cross_entropy,
        metric=metrics.error_rate,
        penalty=penalties.l2(1e-4, least_dims=2),
        train=parts.train,
        validation=parts.validation,
        batch_size=batch_size,
        epochs=max(1, round(scale * EPOCHS)),
    )


def scaled_name(batch: int) -> str:
    """Of a line with linear scaling and warmup."""
    return f"scaled-{batch}"


def same_name(batch: int) -> str:
    """Of a line with neither."""
    return f"same-{batch}"


SMALL = "small"


def settings(batch: int) -> list[Setting]:
    """What trains at one size. The momentum is that of the paper's equation 9, whose buffer does not
    hold the rate: one that does has to be corrected where rates change (its remark 2)."""
    rule = rules.nesterov_buffer(momentum=0.9)
    if batch == BASE:
        return [Setting(SMALL, f"batch {BASE}", rule, LR, same_rate)]
    lr = LR * batch / BASE
    return [
        Setting(scaled_name(batch), f"batch {batch}, scaled and warmed up", rule, lr, scaled_rate),
        Setting(same_name(batch), f"batch {batch}, neither", rule, LR, same_rate),
    ]


def groups(data: Folder, scale: float) -> Sequence[Group]:
    """A recipe for each size."""
    of = partial(recipe, data, scale)
    return [Group(f"batch-{batch}", of(batch), settings(batch)) for batch in BATCHES]


LARGE = BATCHES[1:]

LARGE_BATCH = Study(
    name="large-batch",
    source=SOURCE,
    panels=(
        Panel(
            name="mnist",
            title="Minibatches up to 8192, with linear scaling and warmup and without",
            source="figures 1 and 3, on ImageNet there",
            expected="At equal epochs minibatches of up to 8192 with linear scaling and warmup lose "
            "nothing against 256. With neither, they do.",
            training=Given(groups, SEEDS),
            claims=(
                *(Claim(scaled_name(batch), "reaches", SMALL) for batch in LARGE),
                *(claim for batch in LARGE for claim in ahead(SMALL, same_name(batch))),
                *(claim for b in LARGE for claim in ahead(scaled_name(b), same_name(b))),
            ),
            y="validation error",
        ),
    ),
    scale=0.2,
    scaled=lambda scale: (
        f"It trains for {max(1, round(scale * EPOCHS))} epochs in place of {EPOCHS}; warmup and falls "
        f"of the rate stand at the same shares of them."
    ),
    differs=(
        "MNIST in place of ImageNet, and a network 784-100-10 with batch norm in place of ResNet-50: "
        f"an epoch has {math.floor(50_000 / 8192)} minibatches of 8192 here, 156 there.",
        "Batch statistics come from the whole minibatch; in the paper from 32 images of each of its "
        "workers.",
    ),
)
