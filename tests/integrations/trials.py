"""One small network on fixed data, and optimizers for it by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

import ravine
from ravine import chain, clip_norm, rules

STEPS = 6
ROWS = 8
EXACT = 1e-12
"""Largest difference in float64, relative to the largest number: a step is 1e-2."""

MODULES: dict[str, Any] = {"torch": torch.optim, "ravine": ravine.optim, "any": ravine}
Spec = tuple[str, str, dict[str, Any]]
"""Module, class, options. Goes into other processes, as rules cannot."""

RULES = {
    "clipped adam": lambda: chain(clip_norm(0.1), rules.adam()),
    "clipped lamb": lambda: chain(clip_norm(0.1), rules.lamb()),
}


def build(spec: Spec, params: Iterable[Any]) -> Any:
    """The optimizer of a spec."""
    module, name, options = spec
    if module == "any":
        return ravine.Optimizer(list(params), RULES[name](), **options)
    return getattr(MODULES[module], name)(params, **options)


def network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Layers of 7, 8 and 1 units: two processes share the first unevenly, and the last not at all."""
    torch.manual_seed(0)
    layers = nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 8), nn.Tanh(), nn.Linear(8, 1)
    return nn.Sequential(*layers).to(dtype)


def batches(dtype: torch.dtype = torch.float64, steps: int = STEPS) -> list[tuple[Tensor, Tensor]]:
    """(inputs, targets) of each step."""
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(ROWS, 6, generator=generator, dtype=torch.float64).to(dtype),
            torch.randn(ROWS, 1, generator=generator, dtype=torch.float64).to(dtype),
        )
        for _ in range(steps)
    ]


def learn(model: nn.Module, optimizer: Any, data: Iterable[tuple[Tensor, Tensor]]) -> None:
    """A step for each batch, by mean square error."""
    for inputs, targets in data:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()


def alone(spec: Spec, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """The weights after all batches, in one process and with no tool."""
    model = network(dtype)
    learn(model, build(spec, model.parameters()), batches(dtype))
    return weights(model)


def weights(model: nn.Module) -> list[Tensor]:
    """Copies of all parameters."""
    return [param.detach().clone() for param in model.parameters()]


def gap(ours: Iterable[Tensor], reference: Iterable[Tensor]) -> float:
    """Largest difference relative to the reference's largest number; infinite for NaN."""
    pairs = list(zip(ours, reference, strict=True))
    worst = torch.stack([(a - b).abs().max() for a, b in pairs]).max()
    largest = torch.stack([b.abs().max() for _, b in pairs]).max()
    return float((worst / largest).nan_to_num(torch.inf))
