"""Sets of small images: MNIST, Fashion-MNIST, CIFAR-10."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ravine.datasets.cache import Arrays, prepared
from ravine.datasets.parts import NAMES, Parts, mixed, parts_of
from ravine.datasets.source import Source, source
from ravine.errors import InputError

VERSION = 1
"""Of the preparation: raised when what is stored changes."""

EXPLAINED = 1e-5
"""Added to the variance of every direction when images are whitened, in units of the mean variance:
directions that hardly vary are not blown up."""


Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Arrange = Callable[[Pixels, Pixels], tuple[Floats, Floats]]
"""(training, test) images of bytes [n, height, width(, channels)] -> inputs."""


def mnist(folder: str | Path | None = None) -> Parts:
    """Handwritten digits: inputs float32 [n, 784] in [0, 1], classes int64 [n].

    50,000 images to train on, 10,000 to choose by, 10,000 to test.

    Source: LeCun, Cortes & Burges 1998, "The MNIST database of handwritten digits".
    """
    return _set(source("mnist", "ylecun/mnist", folder), "image", _flat, "flat")


def fashion(folder: str | Path | None = None) -> Parts:
    """Articles of clothing in MNIST's format: inputs float32 [n, 1, 28, 28] in [0, 1], 10 classes.

    Source: Xiao, Rasul & Vollgraf 2017, "Fashion-MNIST".
    """
    where = source("fashion_mnist", "zalando-datasets/fashion_mnist", folder)
    return _set(where, "image", _planes, "plane")


def cifar10(folder: str | Path | None = None) -> Parts:
    """Small photographs: inputs float32 [n, 3, 32, 32], 10 classes, whitened.

    Whitening makes the training images' pixels uncorrelated, of mean 0 and variance 1 (ZCA: as near
    to the image as that allows), as the convolutional experiment of Kingma & Ba 2015 has it.

    Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
    """
    return _set(source("cifar10", "uoft-cs/cifar10", folder), "img", _whitened, "white")


def cifar10_centered(folder: str | Path | None = None) -> Parts:
    """The same photographs as bytes less the training images' mean: inputs float32 [n, 3072] in
    [-255, 255], as the exercises of Stanford's cs231n have them."""
    return _set(source("cifar10", "uoft-cs/cifar10", folder), "img", _centered, "centered")


def _set(where: Source, column: str, arrange: Arrange, form: str) -> Parts:
    key = f"{where.name}-{form}-{VERSION}-{where.fingerprint()}"
    return parts_of(prepared(key, NAMES, lambda: _made(where, column, arrange)))


def _made(where: Source, column: str, arrange: Arrange) -> Arrays:
    train, classes = _decoded(where, "train", column)
    test, test_classes = _decoded(where, "test", column)
    order = mixed(len(train))
    inputs, test_inputs = arrange(train[order], test)
    return {
        "inputs": inputs,
        "targets": classes[order],
        "test_inputs": test_inputs,
        "test_targets": test_classes,
    }


def _decoded(where: Source, split: str, column: str) -> tuple[Pixels, NDArray[np.int64]]:
    """Images and classes."""
    from PIL import Image

    table = where.table(split, {column: "encoded images", "label": "integers"})
    encoded = table.column(column).to_pylist()
    try:
        images = [np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in encoded]
        pixels = np.stack(images)
        if pixels.dtype != np.uint8:
            raise TypeError(f"pixels of {pixels.dtype}")
    except (OSError, SyntaxError, ValueError, TypeError) as error:
        raise InputError(
            f"{where.words}, {split}: images that cannot be decoded ({error}); "
            "expected a column of encoded images of one size, pixels of uint8"
        ) from error
    return pixels, table.column("label").to_numpy().astype(np.int64)


def _flat(train: Pixels, test: Pixels) -> tuple[Floats, Floats]:
    return _scaled(train).reshape(len(train), -1), _scaled(test).reshape(len(test), -1)


def _planes(train: Pixels, test: Pixels) -> tuple[Floats, Floats]:
    return _scaled(train)[:, None], _scaled(test)[:, None]


def _scaled(pixels: Pixels) -> Floats:
    return pixels.astype(np.float32) / np.float32(255)


def _centered(train: Pixels, test: Pixels) -> tuple[Floats, Floats]:
    mean = train.mean(0, dtype=np.float64)

    def less_mean(images: Pixels) -> Floats:
        planes = np.moveaxis(images - mean, -1, 1).astype(np.float32)
        return np.reshape(planes, (len(images), -1))

    return less_mean(train), less_mean(test)


def _whitened(train: Pixels, test: Pixels) -> tuple[Floats, Floats]:
    """ZCA by the training images' covariance: (x - mean) V (Λ + ε)^-½ Vᵀ."""
    flat, flat_test = _flat(train, test)
    mean = flat.mean(0, dtype=np.float64)
    centered = flat - mean
    variances, directions = np.linalg.eigh(centered.T @ centered / len(flat))
    shrunk = np.maximum(variances, 0) + EXPLAINED * variances.mean()
    matrix = (directions / np.sqrt(shrunk)) @ directions.T

    def white(images: NDArray[np.float64], like: Pixels) -> Floats:
        shape = (len(like), *like.shape[1:])
        return np.moveaxis(np.reshape(images @ matrix, shape), -1, 1).astype(np.float32)

    return white(centered, train), white(flat_test - mean, test)
