"""Handwritten digits: 1,797 real images of 8x8 pixels that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ravine import metrics
from ravine.recipes.recipe import Recipe

Pair = tuple[Tensor, Tensor]


@cache
def digits() -> tuple[Pair, Pair, Pair]:
    """Training, validation and test pairs: 1,078 + 359 + 360 images, stratified by class.

    The split is fixed. Inputs, float32 [examples, 64], are standardized with the mean and standard
    deviation of each pixel over the training images; a pixel that never changes there is only
    centered. Targets are int64 [examples].

    Source: Alpaydin & Kaynak 1998, "Optical recognition of handwritten digits" (UCI).
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    train_x, rest_x, train_y, rest_y = train_test_split(
        pixels, labels, test_size=0.4, stratify=labels, random_state=0
    )
    validation_x, test_x, validation_y, test_y = train_test_split(
        rest_x, rest_y, test_size=0.5, stratify=rest_y, random_state=0
    )
    mean, std = train_x.mean(axis=0), train_x.std(axis=0)
    std[std == 0] = 1

    def pair(x: Any, y: Any) -> Pair:
        return torch.tensor((x - mean) / std, dtype=torch.float32), torch.tensor(y)

    return pair(train_x, train_y), pair(validation_x, validation_y), pair(test_x, test_y)


def _recipe(name: str, model: Callable[[], nn.Module]) -> Recipe:
    train, validation, test = digits()
    return Recipe(
        name=name,
        model=model,
        cost=F.cross_entropy,
        metric=metrics.error_rate,
        train=train,
        validation=validation,
        test=test,
        batch_size=32,
        epochs=30,
    )


def mlp() -> Recipe:
    """A multilayer network, 64-64-10 with ReLU: 4,810 parameters."""
    return _recipe(
        "digits-mlp", lambda: nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    )


def softmax() -> Recipe:
    """Softmax (multinomial logistic) regression, 64-10: convex, 650 parameters."""
    return _recipe("digits-softmax", lambda: nn.Linear(64, 10))
