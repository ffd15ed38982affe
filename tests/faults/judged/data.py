"""What the judging cases learn from: (training pair, validation pair), the validation data clean."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ravine.seeds import generator
from tests.faults.data import Data, Pair
from tests.faults.judged import sources

KNOWN = 1500
"""Words of reviews that have numbers of their own, the most frequent ones from 2 on; others are 1."""


def split(x: Tensor, y: Tensor, held_out: int) -> Data:
    """The last ones validate."""
    return (x[:-held_out], y[:-held_out]), (x[-held_out:], y[-held_out:])


def permuted(data: Data) -> Data:
    """Training targets in random order."""
    (x, y), validation = data
    return (x, y[torch.randperm(len(y), generator=generator("judged", "permuted"))]), validation


def noisy(data: Data, share: float, classes: int) -> Data:
    """A share of the training labels is drawn anew."""
    (x, y), validation = data
    draws = generator("judged", "labels")
    wrong = torch.rand(y.shape, generator=draws) < share
    return (x, torch.where(wrong, torch.randint(classes, y.shape, generator=draws), y)), validation


# images


@cache
def mnist(
    examples: int = 2000,
    scale: float = 1.0,
    offset: float = 0.0,
    raw: bool = False,
    noise: float = 0.0,
    shuffled: bool = False,
) -> Data:
    """MNIST in 14x14 pixels, [examples, 14, 14], and classes; 500 more images validate.

    Args:
        examples: how many to train on.
        scale, offset: standardized pixels are multiplied by the one, then moved by the other.
        raw: pixels from 0 to 255 instead, of which scale and offset are taken.
        noise: share of wrong labels. shuffled: labels in random order.
    """
    x, y = sources.mnist_images(2500)
    x = x if raw else (x - 33.3) / 72.0  # mean and deviation of a pixel
    (train_x, train_y), validation = split(x * scale + offset, y, 500)
    data = noisy(((train_x[:examples], train_y[:examples]), validation), noise, 10)
    return permuted(data) if shuffled else data


@cache
def mnist_pairs(digits: tuple[int, int] = (4, 9), signed: bool = False) -> Data:
    """Two digits of MNIST alone, as 0 and 1, [examples, 1]; or as -1 and 1."""
    (x, y), (validation_x, validation_y) = mnist()
    one, other = digits

    def chosen(x: Tensor, y: Tensor) -> Pair:
        kept = (y == one) | (y == other)
        target = (y[kept] == other).float()[:, None]
        return x[kept], 2 * target - 1 if signed else target

    return chosen(x, y), chosen(validation_x, validation_y)


@cache
def mnist_pixels(target_scale: float = 1.0) -> Data:
    """Images of pixels from 0 to 1, flat, as their own targets; those to train on may be scaled."""
    x, _ = sources.mnist_images(2500)
    flat = x.flatten(1) / 255
    (train_x, train_y), validation = split(flat, flat, 500)
    return (train_x, train_y * target_scale), validation


# tables


@cache
def _sklearn(name: str) -> Pair:
    """A table of scikit-learn's in random order: features [rows, columns] and targets [rows]."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    place = torch.randperm(len(x), generator=generator("judged", name))
    features, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    return features[place], targets[place]


def _standardized(x: Tensor) -> Tensor:
    return (x - x.mean(dim=0)) / x.std(dim=0)


@cache
def wine(raw: bool = False) -> Data:
    """Three sorts of wine by 13 measurements, [128, 13] and classes; raw: from 0.1 to 1,680."""
    x, y = _sklearn("wine")
    return split(x if raw else _standardized(x), y, 50)


@cache
def cancer(
    raw: bool = False,
    flat: bool = False,
    shuffled: bool = False,
    noise: float = 0.0,
    rare: float = 1.0,
) -> Data:
    """Malign or not by 30 measurements of cells, [380, 30] and [380, 1].

    Args:
        raw: as measured, from 0.001 to 4,254.
        flat: targets are [examples] class indices.
        shuffled: targets in random order. noise: share of wrong classes.
        rare: share of the malign ones that is kept, of all.
    """
    x, y = _sklearn("breast_cancer")
    kept = (y == 1) | (torch.rand(len(y), generator=generator("judged", "rare")) < rare)
    x, y = x[kept], y[kept]
    pairs = split(x if raw else _standardized(x), y, len(x) // 3)
    pairs = noisy(pairs, noise, 2)
    pairs = permuted(pairs) if shuffled else pairs
    if flat:
        return pairs
    first, second = ((x, y.float()[:, None]) for x, y in pairs)
    return first, second


@cache
def diabetes(
    examples: int = 300,
    flat: bool = False,
    shuffled: bool = False,
) -> Data:
    """Progress of a disease by 10 measurements, [examples, 10] and [examples, 1].

    Args:
        examples: to train on; 142 validate.
        flat: targets are [examples]. shuffled: in random order.
    """
    x, y = _sklearn("diabetes")
    target = _standardized(y.float())
    target = target if flat else target[:, None]
    (train_x, train_y), validation = split(_standardized(x), target, 142)
    data = ((train_x[:examples], train_y[:examples]), validation)
    return permuted(data) if shuffled else data


@cache
def iris(raw: bool = False) -> Data:
    """Three sorts of iris by four lengths, [100, 4] and classes."""
    x, y = _sklearn("iris")
    return split(x if raw else _standardized(x), y, 50)


# sequences


@cache
def gestures(scale: float = 1.0, offset: float = 0.0, channels_first: bool = False) -> Data:
    """Four shapes of a noisy signal, [800, 24, 2], and which one.

    The shapes are a slow wave, a fast one, a rising line and a bump somewhere; the second channel is
    the first one delayed by two.
    """
    draws = generator("judged", "gestures")
    count = 1200
    y = torch.randint(4, (count,), generator=draws)
    t = torch.arange(26) / 24
    phase = torch.rand(count, 1, generator=draws)
    shapes = [
        torch.sin(2 * math.pi * (t + phase)),
        torch.sin(2 * math.pi * (3 * t + phase)),
        2 * (t - phase).clamp(min=-1) - 0.5,
        2 * torch.exp(-(((t - 0.2 - 0.6 * phase) / 0.1) ** 2)) - 0.5,
    ]
    signal = torch.stack([shape.expand(count, -1) for shape in shapes])[y, torch.arange(count)]
    signal = signal + 0.4 * torch.randn(signal.shape, generator=draws)
    x = torch.stack([signal[:, 2:], signal[:, :-2]], dim=2) * scale + offset
    x = x.transpose(1, 2).contiguous() if channels_first else x
    return split(x, y, 400)


@cache
def prices(level: float = 0.0, spikes: float = 0.0, shuffled: bool = False) -> Data:
    """A season and an autoregressive rest: 16 values, [600, 16, 1], and the next one, [600, 1].

    Args:
        level: added to the values that are read, not to those to foretell.
        spikes: share of training targets that were measured 200 times too large.
        shuffled: training targets in random order.
    """
    draws = generator("judged", "prices")
    shocks = 0.2 * torch.randn(900, 40, generator=draws)
    rest = [torch.zeros(900)]
    for place in range(40):
        rest.append(0.9 * rest[-1] + shocks[:, place])
    phase = 12 * torch.rand(900, 1, generator=draws)
    season = torch.sin(2 * math.pi * (torch.arange(17) + phase) / 12)
    series = torch.stack(rest[-17:], dim=1) + season
    (train_x, train_y), validation = split(level + series[:, :16, None], series[:, 16:], 300)
    wild = torch.rand(train_y.shape, generator=draws) < spikes
    data = ((train_x, torch.where(wild, 200 * train_y, train_y)), validation)
    return permuted(data) if shuffled else data


@cache
def order(gap: int = 8) -> Data:
    """Two symbols among distractors: at the start, and `gap` places later; which two? Four classes.

    One-hot [1000, gap + 4, 6].
    """
    draws = generator("judged", "order")
    symbols = torch.randint(2, 6, (1300, gap + 4), generator=draws)
    first, second = torch.randint(2, (2, 1300), generator=draws)
    symbols[:, 1], symbols[:, gap + 1] = first, second
    return split(F.one_hot(symbols, 6).float(), 2 * first + second, 300)


@cache
def letters(shuffled: bool = False) -> Data:
    """Text of a made language, int64 [800, 16], and the letter after each, the same shape.

    Of its 12 letters two or three can follow each pair of letters. Shuffled: what comes after
    belongs to other texts.
    """
    draws = generator("judged", "letters")
    likely = torch.rand(12, 12, 12, generator=draws) ** 12
    likely = likely / likely.sum(dim=2, keepdim=True)
    text = [torch.randint(12, (1000,), generator=draws) for _ in range(2)]
    for _ in range(24):
        text.append(torch.multinomial(likely[text[-2], text[-1]], 1, generator=draws)[:, 0])
    whole = torch.stack(text[4:21], dim=1)
    data = split(whole[:, :16], whole[:, 1:], 200)
    return permuted(data) if shuffled else data


@cache
def majority() -> Data:
    """Which of five symbols is the most frequent one of a sequence? int64 [1200, 15] and [1200]."""
    draws = generator("judged", "majority")
    often = torch.randint(5, (1500, 1), generator=draws)
    x = torch.randint(5, (1500, 15), generator=draws)
    x = torch.where(torch.rand(x.shape, generator=draws) < 0.25, often, x)
    counts = F.one_hot(x, 5).sum(dim=1)
    return split(x, counts.argmax(dim=1), 300)


@cache
def reviews(
    examples: int = 1600,
    words: int = 100,
    shuffled: bool = False,
    empty: int = 0,
) -> Data:
    """Film reviews as ranks of their words, int64 [examples, words], and whether they are good.

    Args:
        examples: to train on; 500 validate.
        words: a review is cut, or filled up with 0, to so many.
        shuffled: labels in random order.
        empty: the first training reviews, so many, have no words.
    """
    texts, labels = sources.reviews(1050)
    ranks = sources.vocabulary(1050)

    def number(word: str) -> int:
        rank = ranks[word]
        return rank + 2 if rank < KNOWN else 1

    rows = [[number(word) for word in text[:words]] for text in texts]
    x = torch.tensor([row + [0] * (words - len(row)) for row in rows])
    x[:empty] = 0
    (train_x, train_y), validation = split(x, labels, 500)
    data = ((train_x[:examples], train_y[:examples]), validation)
    return permuted(data) if shuffled else data


# made tables and functions


@cache
def spirals(arms: int = 3, scale: float = 1.0) -> Data:
    """Points on spiral arms, [750, 2], and their arms."""
    draws = generator("judged", "spirals")
    y = torch.randint(arms, (1000,), generator=draws)
    radius = torch.rand(1000, generator=draws).sqrt()
    angle = 2 * math.pi * y / arms + 3.5 * radius
    x = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
    x = (x + 0.05 * torch.randn(x.shape, generator=draws)) / 0.6
    return split(scale * x, y, 250)


@cache
def friedman(examples: int = 500, noise: float = 0.3, tails: bool = False) -> Data:
    """Friedman's first function of ten features, standardized; tails: with noise of Cauchy's."""
    draws = generator("judged", "friedman")
    x = torch.rand(800, 10, generator=draws)
    bent = 10 * torch.sin(math.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y = _standardized((bent + 10 * x[:, 3] + 5 * x[:, 4])[:, None])
    (train_x, train_y), validation = split((x - 0.5) * math.sqrt(12), y, 300)
    normal = torch.randn(train_y.shape, generator=draws)
    error = normal / torch.randn(train_y.shape, generator=draws) if tails else normal
    return (train_x[:examples], (train_y + noise * error)[:examples]), validation


@cache
def spectra(width: float = 0.02) -> Data:
    """Concentration by a spectrum: [400, 30] and [400, 1].

    Ten substances have a line of that width each, at even distances from 0 to 1; the fifth is asked
    for. Wide lines overlap, which makes the channels all but collinear.
    """
    draws = generator("judged", "spectra")
    amounts = torch.randn(550, 10, generator=draws)
    place, line = torch.linspace(0, 1, 30), torch.linspace(0, 1, 10)[:, None]
    x = amounts @ torch.exp(-(((place - line) / width) ** 2) / 2)
    return split(x / x.square().mean().sqrt(), amounts[:, 4:5], 150)


@cache
def polynomial(basis: str = "legendre", degree: int = 9) -> Data:
    """A bent line by polynomials of x in [-1, 1], [300, degree + 1] and [300, 1].

    Args:
        basis: "legendre", which are orthogonal, or "powers" of x.
        degree: the highest.
    """
    import numpy as np
    from numpy.polynomial.legendre import legvander

    draws = generator("judged", "polynomial")
    place = 2 * torch.rand(500, 1, generator=draws) - 1
    flat = place[:, 0].double().numpy()
    table = legvander(flat, degree) * np.sqrt(2 * np.arange(degree + 1) + 1)
    table = table if basis == "legendre" else np.vander(flat, degree + 1, increasing=True)
    y = torch.sin(4 * place) + torch.cos(7 * place)
    x = torch.tensor(table, dtype=torch.float32)
    (train_x, train_y), validation = split(x, y, 200)
    return (train_x, train_y + 0.1 * torch.randn(300, 1, generator=draws)), validation


@cache
def counts(scale: float = 1.0) -> Data:
    """Numbers of events by 6 features, [600, 6] and [600, 1]: Poisson, mean exp of a line."""
    draws = generator("judged", "counts")
    x = torch.randn(900, 6, generator=draws)
    rate = torch.exp(x @ torch.tensor([0.6, -0.5, 0.4, 0.3, 0.0, 0.0]) + 0.5)
    return split(scale * x, torch.poisson(rate, generator=draws)[:, None], 300)


@cache
def ratings() -> Data:
    """Who rates which film how: 30 people, 20 films, int64 [450, 2] and [450, 1], of rank 2."""
    draws = generator("judged", "ratings")
    left, right = torch.randn(30, 2, generator=draws), torch.randn(20, 2, generator=draws)
    pairs = torch.cartesian_prod(torch.arange(30), torch.arange(20))
    pairs = pairs[torch.randperm(len(pairs), generator=draws)]
    y = (left[pairs[:, 0]] * right[pairs[:, 1]]).sum(dim=1, keepdim=True) / math.sqrt(2)
    (train_x, train_y), validation = split(pairs, y, 150)
    return (train_x, train_y + 0.1 * torch.randn(train_y.shape, generator=draws)), validation


@cache
def peak() -> Data:
    """A spectral line at 2 on [-6, 6], of width 0.5, [300, 1] and [300, 1]."""
    draws = generator("judged", "peak")
    x = 12 * torch.rand(450, 1, generator=draws) - 6
    y = torch.exp(-(((x - 2) / 0.5) ** 2) / 2)
    (train_x, train_y), validation = split(x, y, 150)
    return (train_x, train_y + 0.05 * torch.randn(train_y.shape, generator=draws)), validation


@cache
def robot(noise: float = 0.0, tails: float = 0.0) -> Data:
    """Where an arm of two joints points, by its angles: [600, 2] and [600, 2].

    Args:
        noise: of training targets. tails: share of them that a broken sensor put at 500.
    """
    draws = generator("judged", "robot")
    angles = 3 * (torch.rand(850, 2, generator=draws) - 0.5)
    total = angles.sum(dim=1)
    x = torch.cos(angles[:, 0]) + torch.cos(total)
    y = torch.sin(angles[:, 0]) + torch.sin(total)
    (train_x, train_y), validation = split(angles, torch.stack([x, y], dim=1), 250)
    wild = torch.rand(600, 1, generator=draws) < tails
    train_y = train_y + noise * torch.randn(train_y.shape, generator=draws)
    return (train_x, torch.where(wild, 500.0, train_y)), validation


def no_data(noise: float = 0.0, dimensions: int = 2) -> Data:
    """For functions of parameters alone: 256 draws of noise, of mean 0; validated without."""
    half = noise * torch.randn(128, dimensions, generator=generator("judged", "no data"))
    return (torch.cat([half, -half]), torch.zeros(256)), (
        torch.zeros(1, dimensions),
        torch.zeros(1),
    )
