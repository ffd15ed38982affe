"""Images: every pixel arrives, training examples are held out, photographs are white."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine import datasets
from ravine.datasets.images import EXPLAINED
from ravine.errors import InputError

RNG = np.random.default_rng(0)


def images(count: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that tell which they are, and a class for each."""
    return RNG.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count) % 10


def test_every_image_is_there_once_with_its_class(write_images):
    (train, classes), (test, test_classes) = images(60, 28, 28), images(12, 28, 28)
    parts = datasets.mnist(
        write_images("mnist", "image", train=(train, classes), test=(test, test_classes))
    )
    assert [len(x) for x, _ in (parts.train, parts.validation, parts.test)] == [50, 10, 12]
    x = torch.cat([parts.train[0], parts.validation[0]]).numpy()
    y = torch.cat([parts.train[1], parts.validation[1]]).numpy()
    found = {tuple(row): label for row, label in zip(np.rint(x * 255).astype(int), y, strict=True)}
    assert found == {tuple(i.ravel()): c for i, c in zip(train.astype(int), classes, strict=True)}
    np.testing.assert_array_equal(
        parts.test[0].numpy(), test.reshape(12, -1).astype(np.float32) / np.float32(255)
    )
    assert parts.test[1].tolist() == test_classes.tolist()


def test_a_file_sorted_by_class_is_mixed_before_a_part_is_held_out(write_images):
    pixels, _ = images(600, 28, 28)
    classes = np.repeat(np.arange(10), 60)
    folder = write_images("mnist", "image", train=(pixels, classes), test=(pixels, classes))
    counts = np.bincount(datasets.mnist(folder).validation[1], minlength=10)
    # 100 drawn of 600 without replacement: deviation of a class's count 2.74
    assert abs(counts - 10).max() <= 3 * 2.74


def test_fashion_has_a_channel(write_images):
    pair = images(12, 28, 28)
    parts = datasets.fashion(write_images("fashion_mnist", "image", train=pair, test=pair))
    assert parts.train[0].shape == (10, 1, 28, 28)
    np.testing.assert_array_equal(
        np.rint(parts.test[0].numpy()[:, 0] * 255).astype(np.uint8), pair[0]
    )


def test_photographs_are_white_and_as_near_to_the_image_as_that_allows(write_images):
    mixing = RNG.standard_normal((48, 48)) / 7
    flat = np.clip(128 + 20 * RNG.standard_normal((6000, 48)) @ mixing, 0, 255).astype(np.uint8)
    pixels = flat.reshape(6000, 4, 4, 3)
    folder = write_images("cifar10", "img", train=(pixels, [0] * 6000), test=(pixels[:5], [0] * 5))
    parts = datasets.cifar10(folder)
    assert parts.train[0].shape == (5000, 3, 4, 4)
    white = torch.cat([parts.train[0], parts.validation[0]]).double()
    rows = white.permute(0, 2, 3, 1).reshape(6000, 48).numpy()
    assert abs(rows.mean(0)).max() < 1e-5
    scaled = flat / 255
    covariance = np.cov(scaled.T, bias=True)
    variances = np.linalg.eigvalsh(covariance)
    shrunk = variances / (variances + EXPLAINED * variances.mean())
    np.testing.assert_allclose(
        np.linalg.eigvalsh(np.cov(rows.T, bias=True)), np.sort(shrunk), atol=1e-4
    )
    # ZCA: the cross-covariance of images and white images is symmetric and positive
    cross = (flat / 255 - scaled.mean(0)).T @ _in_file_order(rows, scaled) / 6000
    np.testing.assert_allclose(cross, cross.T, atol=1e-5)
    assert np.linalg.eigvalsh((cross + cross.T) / 2).min() > 0


def _in_file_order(rows: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    from ravine.datasets.parts import mixed

    back = np.empty_like(rows)
    back[mixed(len(rows))] = rows
    return back


@pytest.mark.parametrize(
    ("column", "pixels", "message"),
    [
        ("picture", np.zeros((6, 28, 28), np.uint8), "has columns .'picture', 'label'.*; expected"),
        ("image", None, "images that cannot be decoded"),
    ],
)
def test_another_schema_is_refused(write_images, column, pixels, message):
    shapes = [np.zeros((28, 28), np.uint8)] * 5 + [np.zeros((9, 9), np.uint8)]
    pair = (shapes if pixels is None else pixels, [0] * 6)
    with pytest.raises(InputError, match=message):
        datasets.mnist(write_images("mnist", column, train=pair, test=pair))
