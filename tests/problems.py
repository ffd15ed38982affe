"""Small problems that tests train on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ravine import metrics, rules
from ravine.recipes import Problem, Recipe, load
from ravine.recipes.digits import digits
from ravine.training.procedure import Procedure

Pair = tuple[Tensor, Tensor]


def plain(*names: str) -> dict[str, Procedure]:
    """The plain procedures of rules, all of them if none is named."""
    return {name: Procedure.of(rules.get(name)) for name in names or rules.REGISTRY}


def mlp() -> nn.Module:
    """The digits network."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def noisy() -> nn.Module:
    """A network with all that a lane can get wrong: batch statistics, dropout, a frozen parameter.

    No bias before the batch norm: its gradient would be rounding noise, which AdaGrad magnifies.
    """
    model = nn.Sequential(
        nn.Linear(64, 32, bias=False),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(32, 10),
    )
    model[-1].bias.requires_grad_(False)
    return model


def convolutional() -> nn.Module:
    """Two convolutions with batch norm: rounding that training amplifies."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def convolutional_with_noise() -> nn.Module:
    """Convolutions with batch norm, and dropout of channels and of elements."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout2d(0.2),
        nn.Conv2d(4, 8, 3),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(128, 10),
    )


class Rows(nn.Module):
    """Digits read row by row.

    Args:
        reader: [n, 8, 8] -> [n, 8, 8].
    """

    def __init__(self, reader: nn.Module):
        super().__init__()
        self.reader = reader
        self.scores = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        read = self.reader(x.unflatten(1, (8, 8)))
        states = read[0] if isinstance(read, tuple) else read
        return self.scores(states.mean(1))


def recurrent() -> nn.Module:
    """An LSTM."""
    return Rows(nn.LSTM(8, 8, batch_first=True))


def transformer() -> nn.Module:
    """Two layers of attention, with dropout wherever torch has it."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    return Rows(nn.TransformerEncoder(layer, 2))


def digits_recipe(
    model: Callable[[], nn.Module] = mlp, dtype: torch.dtype = torch.float32, **changes: Any
) -> Recipe:
    """The handwritten digits with any model, in any precision."""

    def cast(pair: Pair) -> Pair:
        return pair[0].to(dtype), pair[1]

    train, validation, test = map(cast, digits())
    parts: dict[str, Any] = {
        "name": "digits-test",
        "model": lambda: model().to(dtype),
        "cost": F.cross_entropy,
        "metric": metrics.error_rate,
        "train": train,
        "validation": validation,
        "test": test,
        "batch_size": 32,
        "steps": 27,
    }
    return Recipe(**{**parts, **changes})


def digits_problem(*args: Any, **kwargs: Any) -> Problem:
    """`digits_recipe`, loaded."""
    return load(digits_recipe(*args, **kwargs))
