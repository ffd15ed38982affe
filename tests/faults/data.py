"""What the cases learn from: (training pair, validation pair), the validation data always clean."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ravine.recipes.digits import digits as standard_digits
from ravine.seeds import generator

Pair = tuple[Tensor, Tensor]
Data = tuple[Pair, Pair]


@cache
def digits(
    examples: int = 1078,
    scale: float = 1.0,
    offset: float = 0.0,
    feature_scale: float = 1.0,
    noise: float = 0.0,
    roll: int = 0,
) -> Data:
    """Handwritten digits, [examples, 64], and their classes.

    Args:
        examples: how many to train on.
        scale, offset: inputs, standardized by pixel, are multiplied by the one, then moved by the other.
        feature_scale: the same for pixel 20 alone.
        noise: share of training labels drawn anew among the ten classes.
        roll: training labels are moved by so many places against their images.
    """
    (x, y), (validation_x, validation_y), _ = standard_digits()
    factors = torch.full((64,), scale)
    factors[20] *= feature_scale
    draws = generator("faults", "labels")
    wrong = torch.rand(len(y), generator=draws) < noise
    labels = torch.where(wrong, torch.randint(10, (len(y),), generator=draws), y).roll(roll)
    pairs = ((x[:examples], labels[:examples]), (validation_x, validation_y))
    made = [(inputs * factors + offset, targets) for inputs, targets in pairs]
    return made[0], made[1]


@cache
def raw_digits() -> Data:
    """The digits as they come: whole numbers from 0 to 16; many pixels are 0 in every image."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels, dtype=torch.float32), torch.tensor(labels)
    place = torch.randperm(len(x), generator=generator("faults", "raw"))
    return (x[place[:1078]], y[place[:1078]]), (x[place[1078:1437]], y[place[1078:1437]])


def pixel_digits(divisor: float = 17.0, whole: bool = False, blank: int = 0) -> Data:
    """Pixels divided by the number of grays, 17; `whole` drops the fraction, as // does.

    So many of the 1,078 training images are `blank`.
    """

    def scaled(pair: Pair) -> Pair:
        x = pair[0] / divisor
        return (x.floor() if whole else x), pair[1]

    train, validation = raw_digits()
    shown = (torch.arange(len(train[0])) >= blank)[:, None]
    return scaled((train[0] * shown, train[1])), scaled(validation)


def images_alone() -> Data:
    """Digits as their own targets, for autoencoders."""
    (x, _), (validation, _) = digits()
    return (x, x), (validation, validation)


def digit_parity() -> Data:
    """Odd or even, as 0 and 1, [examples, 1]."""
    (x, y), (validation_x, validation_y) = digits()
    return (x, (y % 2)[:, None].float()), (validation_x, (validation_y % 2)[:, None].float())


def _split(x: Tensor, y: Tensor, held_out: int) -> Data:
    return (x[:-held_out], y[:-held_out]), (x[-held_out:], y[-held_out:])


@cache
def linear(
    condition: float = 1.0, rotated: bool = True, noise: float = 0.0, outliers: float = 0.0
) -> Data:
    """Linear regression in 20 dimensions, 1,000 examples; every direction explains as much of y.

    Args:
        condition: of the inputs' covariance; its eigenvalues are evenly spaced on a log scale.
        rotated: features are mixed by a rotation, so that all have the same scale.
        noise: deviation of what is added to training targets; theirs without it is 1.
        outliers: share of training examples whose target is 1,000 times too large.
    """
    draws = generator("faults", "linear")
    z = torch.randn(1200, 20, generator=draws)
    y = z.sum(dim=1, keepdim=True) / math.sqrt(20)
    rotation = torch.linalg.qr(torch.randn(20, 20, generator=draws)).Q
    x = z * torch.logspace(0, -math.log10(condition) / 2, 20)
    x = x @ rotation if rotated else x
    x = x / x.square().mean().sqrt()  # whatever the condition, inputs have variance 1 on average
    train, validation = _split(x, y, 200)
    targets = train[1] + noise * torch.randn(1000, 1, generator=draws)
    wild = torch.rand(1000, 1, generator=draws) < outliers
    return (train[0], torch.where(wild, 1000 * targets, targets)), validation


@cache
def curve(
    examples: int = 400, noise: float = 0.1, flat: bool = False, scale: float = 1.0, roll: int = 0
) -> Data:
    """y = sin 3x + noise on [-2, 2], targets [examples, 1].

    Args:
        examples: to train on. noise: deviation, of training targets.
        flat: targets are [examples].
        scale: of the inputs. roll: targets are moved by so many places against their inputs.
    """
    draws = generator("faults", "curve")
    x = 4 * torch.rand(examples + 200, 1, generator=draws) - 2
    y = torch.sin(3 * x)
    y[:examples] += noise * torch.randn(examples, 1, generator=draws)
    y = y.squeeze(1) if flat else y
    (train_x, train_y), (validation_x, validation_y) = _split(x, y, 200)
    return (train_x * scale, train_y.roll(roll, 0)), (validation_x * scale, validation_y)


@cache
def moons(noise: float = 0.15) -> Data:
    """Two half circles that interlock, 500 points, classes 0 and 1."""
    draws = generator("faults", "moons")
    angle = math.pi * torch.rand(700, generator=draws)
    upper = torch.arange(700) % 2
    x = torch.where(upper == 1, torch.cos(angle), 1 - torch.cos(angle))
    y = torch.where(upper == 1, torch.sin(angle), 0.5 - torch.sin(angle))
    points = torch.stack([x, y], dim=1) + noise * torch.randn(700, 2, generator=draws)
    return _split(points - points.mean(0), upper, 200)


@cache
def rings() -> Data:
    """Points inside and outside of a circle, as 0 and 1, [500, 1]: no line parts them."""
    draws = generator("faults", "rings")
    x = torch.randn(700, 2, generator=draws)
    return _split(x, (x.norm(dim=1, keepdim=True) > 1.2).float(), 200)


@cache
def first_of(length: int) -> Data:
    """Sequences [800, length, 5] of noise, with one of four classes shown at the first place alone."""
    draws = generator("faults", "first")
    y = torch.randint(4, (1000,), generator=draws)
    x = 0.3 * torch.randn(1000, length, 5, generator=draws)
    x[:, 0, :4] += 2 * torch.nn.functional.one_hot(y, 4)
    x[:, 0, 4] += 2
    return _split(x, y, 200)


@cache
def waves(roll: int = 0) -> Data:
    """A noisy sine of random frequency and phase, [600, 20, 1], and its next value, [600, 1]."""
    draws = generator("faults", "waves")
    frequency = 0.3 + 0.7 * torch.rand(800, 1, generator=draws)
    phase = 2 * math.pi * torch.rand(800, 1, generator=draws)
    clean = torch.sin(frequency * torch.arange(21) + phase)
    x = clean[:, :20, None] + 0.05 * torch.randn(800, 20, 1, generator=draws)
    (train_x, train_y), validation = _split(x, clean[:, 20:], 200)
    return (train_x, train_y.roll(roll, 0)), validation


@cache
def reversed_words(length: int = 8, symbols: int = 8, roll: int = 0) -> Data:
    """Sequences of symbols, int64 [1500, length], and the same backwards."""
    draws = generator("faults", "words")
    x = torch.randint(symbols, (1800, length), generator=draws)
    (train_x, train_y), validation = _split(x, x.flip(1), 300)
    return (train_x, train_y.roll(roll, 0)), validation


@cache
def nothing(noise: float = 0.0) -> Data:
    """For functions of the parameters alone: 256 draws of noise [256, 2], validated without."""
    half = noise * torch.randn(128, 2, generator=generator("faults", "nothing"))
    return (torch.cat([half, -half]), torch.zeros(256)), (torch.zeros(1, 2), torch.zeros(1))
