"""The problems: networks that torch and JAX can both make, with data in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch.nn.functional as F
from torch import nn, randint, randn

from ravine.recipes import Problem, Recipe, load
from ravine.recipes.digits import mlp
from ravine.seeds import generator


@dataclass(frozen=True)
class Case:
    """A problem.

    Attributes:
        problem: makes it.
        convolutions: channels of the 3x3 convolutions, each with ReLU and 2x2 pooling behind it.
        sizes: of the dense layers, the input's first; ReLU between them.
        shape: of an example.
    """

    problem: Callable[[], Problem]
    sizes: tuple[int, ...]
    shape: tuple[int, ...]
    convolutions: tuple[int, ...] = ()


def dense(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for rows, columns in pairwise(sizes):
        layers += [nn.Linear(rows, columns), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolutional() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 10)),
    )


def images(name: str, model: Callable[[], nn.Module], *shape: int) -> Problem:
    """MNIST's shapes with random pixels: the speed does not depend on what they show."""
    inputs = randn(4096, *shape, generator=generator("pixels"))
    targets = randint(10, (4096,), generator=generator("labels"))
    part = (inputs[:128], targets[:128])
    data = (inputs, targets)
    return load(Recipe(name, model, F.cross_entropy, data, part, batch_size=32, steps=20000))


def digits(batch_size: int) -> Problem:
    return load(replace(mlp(), epochs=None, steps=20000, batch_size=batch_size))


CASES = {
    "digits-mlp, batch 32": Case(lambda: digits(32), (64, 64, 10), (64,)),
    "digits-mlp, batch 128": Case(lambda: digits(128), (64, 64, 10), (64,)),
    "mnist-softmax, batch 32": Case(
        lambda: images("softmax", lambda: dense(784, 10), 784), (784, 10), (784,)
    ),
    "mnist-mlp-128, batch 32": Case(
        lambda: images("wide", lambda: dense(784, 128, 128, 10), 784), (784, 128, 128, 10), (784,)
    ),
    "small CNN, batch 32": Case(
        lambda: images("cnn", convolutional, 1, 28, 28), (400, 10), (1, 28, 28), (1, 8, 16)
    ),
}
