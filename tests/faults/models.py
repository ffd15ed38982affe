"""Small models out of torch's modules, each with the places where a fault can be planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

Make = Callable[[], nn.Module]


def mlp(
    sizes: Sequence[int],
    activation: Make = nn.ReLU,
    batch_norm: float | None = None,
    dropout: float = 0.0,
    middle: Make = nn.Identity,
    output: Make = nn.Identity,
    frozen: int = 0,
) -> nn.Module:
    """Linear layers with activations between.

    Args:
        sizes: widths, from inputs to outputs.
        activation: after each hidden layer.
        batch_norm: momentum of batch norms before the activations; None: there are none.
        dropout: probability after each activation; 0: no such layers.
        middle: what stands before the last layer.
        output: what stands behind it.
        frozen: the first linear layers, so many, do not learn.
    """
    parts: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        parts.append(nn.Linear(before, after))
        if batch_norm is not None:
            parts.append(nn.BatchNorm1d(after, momentum=batch_norm))
        parts.append(activation())
        if dropout:
            parts.append(nn.Dropout(dropout))
    model = nn.Sequential(*parts, middle(), nn.Linear(sizes[-2], sizes[-1]), output())
    _freeze(model, nn.Linear, frozen)
    return model


def cnn(
    channels: Sequence[int] = (8, 16),
    activation: Make = nn.ReLU,
    batch_norm: float | None = None,
    middle: Make = nn.Identity,
    output: Make = nn.Identity,
    frozen: int = 0,
    first: Make = nn.Identity,
) -> nn.Module:
    """Convolutions 3x3 over 8x8 images, pooled by 2 after the second, and a linear layer.

    Arguments as for `mlp`; `first` stands before the first convolution.
    """
    parts: list[nn.Module] = [nn.Unflatten(1, (1, 8, 8)), first()]
    for place, (before, after) in enumerate(pairwise((1, *channels))):
        parts.append(nn.Conv2d(before, after, 3, padding=1))
        if batch_norm is not None:
            parts.append(nn.BatchNorm2d(after, momentum=batch_norm))
        parts.append(activation())
        if place == 1:
            parts.append(nn.MaxPool2d(2))
    side = 4 if len(channels) > 1 else 8
    model = nn.Sequential(
        *parts,
        nn.Flatten(),
        middle(),
        nn.Linear(channels[-1] * side * side, 10),
        output(),
    )
    _freeze(model, nn.Conv2d, frozen)
    return model


def _freeze(model: nn.Module, kind: type[nn.Module], count: int) -> None:
    for layer in [m for m in model.modules() if isinstance(m, kind)][:count]:
        layer.requires_grad_(False)


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, inside: nn.Module):
        super().__init__()
        self.inside = inside

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inside(x)


def residual_mlp(inputs: int, width: int, blocks: int, outputs: int) -> nn.Module:
    """Residual blocks of a layer norm and two layers each."""

    def block() -> nn.Module:
        two = (nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        return Residual(nn.Sequential(nn.LayerNorm(width), *two))

    middle = [block() for _ in range(blocks)]
    return nn.Sequential(nn.Linear(inputs, width), *middle, nn.Linear(width, outputs))


class Recurrent(nn.Module):
    """A recurrent layer whose last state a linear layer reads.

    Args:
        cell: nn.RNN, nn.LSTM or nn.GRU.
        inputs, hidden, outputs: sizes.
        middle: between the state and the linear layer. output: behind it.
        frozen: the recurrent layer does not learn.
    """

    def __init__(
        self,
        cell: Callable[..., nn.Module],
        inputs: int,
        hidden: int,
        outputs: int,
        middle: Make = nn.Identity,
        output: Make = nn.Identity,
        frozen: bool = False,
    ):
        super().__init__()
        self.cell = cell(inputs, hidden, batch_first=True).requires_grad_(not frozen)
        self.middle = middle()
        self.head = nn.Linear(hidden, outputs)
        self.output = output()

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cell(x)
        return self.output(self.head(self.middle(states[:, -1])))


class Attention(nn.Module):
    """Self-attention of several heads.

    Args:
        width, heads: sizes.
        mask: a place sees none of those this far behind it or farther: 1 is causal, 0 hides a place
            from itself, so that the first one sees nothing at all; None: all see all.
    """

    def __init__(self, width: int, heads: int, mask: int | None):
        super().__init__()
        self.heads, self.mask = heads, mask
        self.projections = nn.Linear(width, 3 * width)
        self.weights = nn.Softmax(dim=-1)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.projections(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / (width / self.heads) ** 0.5
        if self.mask is not None:
            scores = scores + torch.full((length, length), float("-inf")).triu(self.mask)
        return self.out((self.weights(scores) @ v).transpose(1, 2).reshape(batch, length, width))


def encoder_block(width: int, heads: int, mask: int | None) -> nn.Module:
    """Attention, then two layers, each after a layer norm and with its residual."""
    two = (nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
    return nn.Sequential(
        Residual(nn.Sequential(nn.LayerNorm(width), Attention(width, heads, mask))),
        Residual(nn.Sequential(nn.LayerNorm(width), *two)),
    )


class Rows(nn.Module):
    """A transformer that reads a digit row by row: a class token in front, then 8 tokens of 8 pixels.

    Args:
        width, blocks: sizes; there are two heads.
        mask: of the attention; under a causal one the class token, in front, sees itself alone.
        middle: between the class token's state and the last layer.
        frozen: the blocks do not learn.
    """

    def __init__(
        self,
        width: int = 32,
        blocks: int = 2,
        mask: int | None = None,
        middle: Make = nn.Identity,
        frozen: bool = False,
    ):
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.token = nn.Parameter(0.5 * torch.randn(1, 1, width))
        self.places = nn.Parameter(0.5 * torch.randn(9, width))
        self.blocks = nn.Sequential(*(encoder_block(width, 2, mask) for _ in range(blocks)))
        self.blocks.requires_grad_(not frozen)
        self.norm = nn.LayerNorm(width)
        self.middle = middle()
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.embed(x.view(-1, 8, 8))
        tokens = torch.cat([self.token.expand(len(x), -1, -1), rows], dim=1) + self.places
        return self.head(self.middle(self.norm(self.blocks(tokens))[:, 0]))


class Tagger(nn.Module):
    """A transformer that gives every symbol a label: [batch, length] -> [batch, length, symbols]."""

    def __init__(self, symbols: int = 8, length: int = 8, width: int = 32):
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        self.places = nn.Parameter(torch.randn(length, width))
        self.blocks = encoder_block(width, 2, None)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(x) + self.places)))


class Detached(nn.Module):
    """Stops gradients."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


class BatchMean(nn.Module):
    """Averages over examples, where the features were meant."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=0, keepdim=True).expand_as(x)


class Contrast(nn.Module):
    """Every image without its mean, over its deviation + eps; a blank image has none."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        centered = x - x.mean(dim=(-2, -1), keepdim=True)
        return centered / (centered.std(dim=(-2, -1), keepdim=True) + self.eps)


class Half(nn.Module):
    """Rounds to float16, whose largest number is 65,504, after a gain."""

    def __init__(self, gain: float):
        super().__init__()
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return (self.gain * x).half().float() / self.gain


class Point(nn.Module):
    """Parameters that are trained as they are: θ + x for each noise x; θ starts at `at`."""

    def __init__(self, at: Sequence[float], spread: float = 0.0):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(at) + spread * torch.randn(len(at)))

    def forward(self, x: Tensor) -> Tensor:
        return self.theta + x
