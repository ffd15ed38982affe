"""More small models, each with the places where a fault can be planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from tests.faults.judged.data import KNOWN
from tests.faults.models import Make, encoder_block

WORDS = KNOWN + 2
"""Numbers that words of reviews can have."""


def strided(
    channels: Sequence[int] = (8, 16),
    activation: Make = nn.ReLU,
    norm: Callable[[int], nn.Module] | None = None,
    pooled: Make | None = None,
    output: Make = nn.Identity,
    dropout: float = 0.0,
) -> nn.Module:
    """Convolutions 3x3 over 14x14 images, the first two with stride 2, and a linear layer.

    Args:
        channels: of the convolutions. activation: after each.
        norm: before each activation, of the number of channels.
        pooled: behind the average over all places; None: the average leaves 2x2 places.
        output: behind the linear layer. dropout: of whole channels, after each activation.
    """
    parts: list[nn.Module] = [nn.Unflatten(1, (1, 14))]
    for place, (before, after) in enumerate(pairwise((1, *channels))):
        parts.append(nn.Conv2d(before, after, 3, stride=2 if place < 2 else 1, padding=1))
        if norm is not None:
            parts.append(norm(after))
        parts.append(activation())
        if dropout:
            parts.append(nn.Dropout2d(dropout))
    side = 2 if pooled is None else 1
    parts += [nn.AdaptiveAvgPool2d(side), *([] if pooled is None else [pooled()])]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(channels[-1] * side**2, 10), output())


def flat_mlp(
    sizes: Sequence[int],
    activation: Make = nn.ReLU,
    middle: Make = nn.Identity,
    output: Make = nn.Identity,
    norm: Callable[[int], nn.Module] | None = None,
    dropout: float = 0.0,
    trainable: bool = True,
) -> nn.Module:
    """Linear layers over flattened inputs; as `tests.faults.models.mlp`, with any norm.

    `trainable` says whether the hidden layers learn.
    """
    hidden: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        hidden += [nn.Linear(before, after), *([] if norm is None else [norm(after)]), activation()]
        hidden += [nn.Dropout(dropout)] * (dropout > 0)
    body = nn.Sequential(*hidden).requires_grad_(trainable)
    return nn.Sequential(nn.Flatten(), body, middle(), nn.Linear(*sizes[-2:]), output())


class Block(nn.Module):
    """activation(W x + b), added to x if `skip` is 1, alone if it is 0."""

    def __init__(self, width: int, activation: Make, skip: float):
        super().__init__()
        self.linear, self.activation, self.skip = nn.Linear(width, width), activation(), skip

    def forward(self, x: Tensor) -> Tensor:
        return self.skip * x + self.activation(self.linear(x))


def tower(
    inputs: int,
    width: int,
    blocks: int,
    outputs: int,
    activation: Make = nn.Tanh,
    skip: float = 1.0,
) -> nn.Module:
    """Many blocks with skip connections, or without."""
    inside = (Block(width, activation, skip) for _ in range(blocks))
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), *inside, nn.Linear(width, outputs))


class Patches(nn.Module):
    """A transformer over the four 7x7 quarters of a 14x14 image, averaged at its end.

    Args:
        width: of its states. middle: before the last layer.
    """

    def __init__(self, width: int = 32, middle: Make = nn.Identity):
        super().__init__()
        self.embed = nn.Linear(49, width)
        self.places = nn.Parameter(0.3 * torch.randn(4, width))
        self.blocks = nn.Sequential(*(encoder_block(width, 4, None) for _ in range(2)))
        self.norm, self.middle = nn.LayerNorm(width), middle()
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        quarters = x.view(-1, 2, 7, 2, 7).transpose(2, 3).reshape(-1, 4, 49)
        states = self.blocks(self.embed(quarters) + self.places)
        return self.head(self.middle(self.norm(states.mean(dim=1))))


class Bag(nn.Module):
    """Mean of word vectors, a hidden layer, a linear one.

    Args:
        norm: before the hidden layer. frozen: word vectors do not learn.
        modulus: words with the same number by it are one; word 0 is none.
    """

    def __init__(
        self,
        norm: Callable[[int], nn.Module] = nn.Identity,
        frozen: bool = False,
        modulus: int = WORDS,
    ):
        super().__init__()
        self.vectors = nn.Embedding(WORDS, 16, padding_idx=0).requires_grad_(not frozen)
        self.modulus, self.norm = modulus, norm(16)
        self.hidden, self.activation = nn.Linear(16, 16), nn.ReLU()
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.norm(self.vectors(x % self.modulus).mean(dim=1))
        return self.head(self.activation(self.hidden(mean)))


class WordFilters(nn.Module):
    """Convolutions over three neighbouring word vectors, their maxima, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.Embedding(WORDS, 12, padding_idx=0)
        self.filters, self.activation = nn.Conv1d(12, 16, 3), nn.ReLU()
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        found = self.activation(self.filters(self.vectors(x).transpose(1, 2)))
        return self.head(found.amax(dim=2))


def filters(
    channels: Sequence[int] = (2, 16, 16),
    activation: Make = nn.ReLU,
    norm: Callable[[int], nn.Module] | None = None,
) -> nn.Module:
    """Convolutions over time, [batch, channels, length], averaged, and a linear layer to 4."""
    parts: list[nn.Module] = []
    for before, after in pairwise(channels):
        parts.append(nn.Conv1d(before, after, 5, stride=2, padding=2))
        parts += [] if norm is None else [norm(after)]
        parts.append(activation())
    return nn.Sequential(*parts, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(channels[-1], 4))


class Reader(nn.Module):
    """A recurrent layer, of whose states one is read.

    Args:
        cell: nn.RNN, nn.LSTM or nn.GRU. inputs, hidden, outputs: sizes.
        at: the place whose state is read; -1 is the last one.
        norm, middle: between state and linear layer. output: behind it.
        frozen: the recurrent layer does not learn.
    """

    def __init__(
        self,
        cell: Callable[..., nn.Module],
        inputs: int,
        hidden: int,
        outputs: int,
        at: int = -1,
        norm: Callable[[int], nn.Module] = nn.Identity,
        middle: Make = nn.Identity,
        output: Make = nn.Identity,
        frozen: bool = False,
    ):
        super().__init__()
        self.cell = cell(inputs, hidden, batch_first=True).requires_grad_(not frozen)
        self.norm, self.middle = norm(hidden), middle()
        self.head, self.output = nn.Linear(hidden, outputs), output()
        self.at = at

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cell(x)
        return self.output(self.head(self.middle(self.norm(states[:, self.at]))))


class Writer(nn.Module):
    """Foretells the next of 12 letters by those so far: one block of a causal transformer.

    Args:
        width: of its states. mask: as of `tests.faults.models.Attention`. output: behind all.
    """

    def __init__(self, width: int = 24, mask: int = 1, output: Make = nn.Identity):
        super().__init__()
        self.vectors = nn.Embedding(12, width)
        self.places = nn.Parameter(torch.randn(16, width))
        self.block = encoder_block(width, 2, mask)
        self.norm = nn.LayerNorm(width)
        self.head, self.output = nn.Linear(width, 12), output()

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.head(self.norm(self.block(self.vectors(x) + self.places))))


class Counter(nn.Module):
    """Which of five symbols is frequent: a block of a transformer without places, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.Embedding(5, 16)
        self.block, self.norm = encoder_block(16, 2, None), nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.block(self.vectors(x)).mean(dim=1)))


class Factors(nn.Module):
    """A rating is the product of two vectors, of who and of what.

    Args:
        rank: of the vectors. spread: their deviation at the start.
        equal: all entries start at `spread` itself.
    """

    def __init__(self, rank: int = 3, spread: float = 0.5, equal: bool = False):
        super().__init__()
        self.people, self.films = nn.Embedding(30, rank), nn.Embedding(20, rank)
        with torch.no_grad():
            for table in (self.people, self.films):
                table.weight.fill_(spread) if equal else table.weight.mul_(spread)

    def forward(self, x: Tensor) -> Tensor:
        product = self.people(x[:, 0]) * self.films(x[:, 1])
        return product.sum(dim=1, keepdim=True)


class Bumps(nn.Module):
    """A network of radial basis functions: Gaussians of width 1/2 in the plane, and a linear layer.

    Args:
        count: of Gaussians.
        spread: deviation of their centers at the start. learned: whether centers learn.
    """

    def __init__(self, count: int = 40, spread: float = 1.0, learned: bool = True):
        super().__init__()
        self.centers = nn.Parameter(spread * torch.randn(count, 2), requires_grad=learned)
        self.head = nn.Linear(count, 3)

    def forward(self, x: Tensor) -> Tensor:
        far = (x[:, None] - self.centers).square().sum(dim=2)
        return self.head(torch.exp(-2 * far))


class Line(nn.Module):
    """One spectral line of height 1: its place is learned, and its width, from 0.5."""

    def __init__(self, at: float = 1.0):
        super().__init__()
        self.at = nn.Parameter(at + 0.1 * torch.randn(1))
        self.width = nn.Parameter(torch.tensor([0.5]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-(((x - self.at) / self.width) ** 2) / 2)


class Exponential(nn.Module):
    """The mean of a Poisson law by its log."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(x)


class Scored(nn.Module):
    """Every example's features without their mean, by √(their variance + eps)."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        centered = x - x.mean(dim=1, keepdim=True)
        return centered / (centered.square().mean(dim=1, keepdim=True) + self.eps).sqrt()
