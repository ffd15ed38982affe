"""The healthy trainings that cases start from, one for each kind of model and data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import nn

from ravine.metrics import error_rate
from ravine.recipes import Measure, Recipe
from tests.faults import costs, data
from tests.faults.form import Setup
from tests.faults.models import Recurrent, Rows, Tagger, cnn, mlp


def task(
    name: str,
    data: Callable[[], data.Data],
    model: Callable[[], nn.Module],
    steps: int,
    cost: Measure = F.cross_entropy,
    metric: Measure | None = error_rate,
    batch_size: int | None = 32,
) -> Recipe:
    """A recipe out of its parts."""
    train, validation = data()
    return Recipe(
        name=name,
        model=model,
        cost=cost,
        metric=metric,
        train=train,
        validation=validation,
        steps=steps,
        batch_size=batch_size,
    )


MLP = Setup(
    partial(
        task,
        name="digits-mlp",
        data=partial(data.digits),
        model=partial(mlp, sizes=(64, 64, 10)),
        steps=200,
    ),
    optimizer="sgd",
    lr=0.1,
)

DEEP = Setup(
    partial(
        task,
        name="digits-deep",
        data=partial(data.digits),
        model=partial(mlp, sizes=(64, *[64] * 8, 10)),
        steps=250,
    ),
    optimizer="sgd",
    lr=0.05,
    init="he_normal",
)

TANH = Setup(
    partial(
        task,
        name="digits-tanh",
        data=partial(data.digits),
        model=partial(mlp, sizes=(64, 64, 64, 10), activation=nn.Tanh),
        steps=200,
    ),
    optimizer="sgd",
    lr=0.1,
    init="glorot_uniform",
)

CNN = Setup(
    partial(
        task,
        name="digits-cnn",
        data=partial(data.digits),
        model=partial(cnn, channels=(8, 16)),
        steps=150,
    ),
    optimizer="adam",
    lr=3e-3,
)

MEMORY = Setup(
    partial(
        task,
        name="first-of-12",
        data=partial(data.first_of, length=12),
        model=partial(Recurrent, cell=nn.GRU, inputs=5, hidden=24, outputs=4),
        steps=200,
    ),
    optimizer="adam",
    lr=1e-2,
)

WAVES = Setup(
    partial(
        task,
        name="waves",
        data=partial(data.waves),
        model=partial(Recurrent, cell=nn.LSTM, inputs=1, hidden=24, outputs=1),
        steps=200,
        cost=costs.squared,
        metric=costs.squared,
    ),
    optimizer="adam",
    lr=1e-2,
)

ROWS = Setup(
    partial(
        task,
        name="digit-rows",
        data=partial(data.digits),
        model=partial(Rows, width=32, blocks=2),
        steps=150,
    ),
    optimizer="adam",
    lr=3e-3,
)

TAGS = Setup(
    partial(
        task,
        name="reversed-words",
        data=partial(data.reversed_words),
        model=partial(Tagger, symbols=8, length=8),
        steps=150,
        cost=costs.by_place,
        metric=costs.place_error,
    ),
    optimizer="adam",
    lr=3e-3,
)

CURVE = Setup(
    partial(
        task,
        name="curve",
        data=partial(data.curve),
        model=partial(mlp, sizes=(1, 32, 32, 1), activation=nn.Tanh),
        steps=300,
        cost=costs.squared,
        metric=costs.squared,
    ),
    optimizer="adam",
    lr=1e-2,
)

LINEAR = Setup(
    partial(
        task,
        name="linear",
        data=partial(data.linear),
        model=partial(mlp, sizes=(20, 1)),
        steps=200,
        cost=costs.squared,
        metric=costs.squared,
    ),
    optimizer="sgd",
    lr=0.1,
)
