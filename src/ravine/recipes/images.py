"""Images: MNIST, Fashion-MNIST, CIFAR-10, with the models of Kingma & Ba 2015, section 6."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch.nn.functional as F
from torch import nn

from ravine import datasets, metrics, penalties
from ravine.datasets import Parts
from ravine.recipes.recipe import Recipe

Folder = str | Path | None
"""Where local data sets lie; None: where RAVINE_DATA says, else they are downloaded."""


def mnist_softmax(data: Folder = None) -> Recipe:
    """MNIST, softmax regression, 784-10: convex, 7,850 parameters."""
    return _recipe("mnist-softmax", datasets.mnist(data), partial(nn.Linear, 784, 10), epochs=10)


def mnist_mlp(data: Folder = None) -> Recipe:
    """MNIST, a multilayer network, 784-1000-1000-10 with ReLU and 50% dropout: 1.8 million parameters."""
    return _recipe("mnist-mlp", datasets.mnist(data), partial(mnist_network, 0.5), epochs=10)


def mnist_mlp_l2(data: Folder = None) -> Recipe:
    """MNIST, the same network without dropout, its cost deterministic with an L2 penalty of 1e-4."""
    recipe = _recipe("mnist-mlp-l2", datasets.mnist(data), partial(mnist_network, 0.0), epochs=10)
    return replace(recipe, penalty=penalties.l2(1e-4))


def mnist_network(dropout: float, width: int = 1000) -> nn.Module:
    """784-1000-1000-10 with ReLU, or as narrow as asked for; dropout after the hidden layers."""
    return nn.Sequential(
        *(nn.Linear(784, width), nn.ReLU(), nn.Dropout(dropout)),
        *(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout)),
        nn.Linear(width, 10),
    )


def fashion_cnn(data: Folder = None) -> Recipe:
    """Fashion-MNIST, two convolutions and two dense layers: 0.4 million parameters."""
    return _recipe("fashion-cnn", datasets.fashion(data), _fashion_cnn, epochs=10)


def _fashion_cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),  # 26 -> 13
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),  # 11 -> 5
        *(nn.Flatten(), nn.Linear(64 * 5 * 5, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


def cifar10_cnn(data: Folder = None) -> Recipe:
    """CIFAR-10, c64-c64-c128-1000: 5x5 convolutions, 3x3 pooling of stride 2, dropout: 1.5 million."""
    return _recipe("cifar10-cnn", datasets.cifar10(data), cifar10_network, epochs=45)


def cifar10_network(channels: int = 64, units: int = 1000) -> nn.Module:
    """c64-c64-c128-1000, or as narrow as asked for: `channels` twice, then twice as many.

    Dropout on the input (20%) and on the full layer (50%); the paper gives no shares, these are
    those of Srivastava et al. 2014.
    """
    pool = partial(nn.MaxPool2d, 3, stride=2)
    return nn.Sequential(
        nn.Dropout(0.2),
        *(nn.Conv2d(3, channels, 5, padding=2), nn.ReLU(), pool()),  # 32 -> 15
        *(nn.Conv2d(channels, channels, 5, padding=2), nn.ReLU(), pool()),  # 15 -> 7
        *(nn.Conv2d(channels, 2 * channels, 5, padding=2), nn.ReLU(), pool()),  # 7 -> 3
        *(nn.Flatten(), nn.Linear(2 * channels * 3 * 3, units), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(units, 10),
    )


def cifar10_mlp(data: Folder = None) -> Recipe:
    """CIFAR-10, a multilayer network, 3072-512-256-10 with ReLU: 1.7 million parameters."""
    return _recipe("cifar10-mlp", datasets.cifar10(data), _cifar10_mlp, epochs=20)


def _cifar10_mlp() -> nn.Module:
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(3072, 512), nn.ReLU()),
        *(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


def _recipe(name: str, parts: Parts, model: Callable[[], nn.Module], epochs: int) -> Recipe:
    return Recipe(
        name=name,
        model=model,
        cost=F.cross_entropy,
        metric=metrics.error_rate,
        train=parts.train,
        validation=parts.validation,
        test=parts.test,
        batch_size=128,
        epochs=epochs,
    )
