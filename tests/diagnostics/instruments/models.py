"""Small models of all kinds that instruments meet, in float64, with a batch for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.diagnostics.instrument import Name, Readings
from ravine.diagnostics.look import Look, Stride
from tests.diagnostics.looking import look_at


class Case(NamedTuple):
    model: nn.Module
    inputs: Tensor
    targets: Tensor
    cost: Callable[[Tensor, Tensor], Tensor]

    def look(self) -> Look:
        return look_at(self.model, self.inputs, self.targets, self.cost)


class Recurrent(nn.Module):
    """An LSTM, whose output is a tuple, and a linear layer on its last time step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Attention(nn.Module):
    """One head of attention with a softmax module, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(6, 18)
        self.softmax = nn.Softmax(dim=-1)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            q, k, v = self.qkv(x).chunk(3, dim=-1)
            x = self.norm(x + self.softmax(q @ k.mT / 6**0.5) @ v)
        return self.head(x.mean(1))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mlp() -> nn.Module:
    return nn.Sequential(
        *(nn.Linear(7, 9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 8), nn.Tanh()),
        nn.Linear(8, 4),
    )


def convolutional() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 6, 1, groups=2), nn.Sigmoid(), nn.Flatten(), nn.Linear(54, 4)),
    )


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.1, batch_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(30, 4))


MAKERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (12, 7)),
    "convolutional": (convolutional, (12, 2, 8, 8)),
    "recurrent": (Recurrent, (12, 5, 3)),
    "attention": (Attention, (12, 5, 6)),
    "transformer": (transformer, (12, 5, 6)),
}


def case(kind: str) -> Case:
    make, shape = MAKERS[kind]
    torch.manual_seed(1)
    model = make().double()
    targets = torch.arange(len(drawn(*shape))) % 4
    return Case(model, drawn(*shape), targets, F.cross_entropy)


def at(readings: Readings, quantity: str) -> dict[str, float]:
    """A quantity by place."""
    return {name.place: value for name, value in readings.items() if name.quantity == quantity}


def alone(readings: Readings, quantity: str) -> float:
    return readings[Name(quantity)]


def look_of(model: nn.Module, x: Tensor) -> Look:
    """With a loss that depends on all outputs."""
    return look_at(model.double(), x, x, lambda y, _: y.square().sum())


def stride_of(
    before: dict[str, Tensor],
    after: dict[str, Tensor],
    gradients: dict[str, Tensor] | None = None,
    step: int = 1,
) -> Stride:
    return Stride(step, before, after, gradients or {}, dict.fromkeys(after, 0.1))
