"""Models with batch norms whose statistics and gains are no identity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ravine.normalization._layers import batch_norms


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@torch.no_grad()
def unsettled(model: nn.Module, seed: int = 0) -> Any:
    """In float64, with batch norms of random statistics, gains and biases."""
    generator = torch.Generator().manual_seed(seed)
    model.double()
    for norm in batch_norms(model).values():
        for tensor in (norm.running_mean, norm.bias):
            if tensor is not None:
                tensor.normal_(generator=generator)
        for tensor in (norm.running_var, norm.weight):
            if tensor is not None:
                tensor.uniform_(0.5, 2, generator=generator)
    return model


def seeded(make: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return make()


def mlp() -> Any:
    """Two batch norms, dropout between."""
    return seeded(
        lambda: unsettled(
            nn.Sequential(
                nn.Linear(4, 6),
                nn.BatchNorm1d(6),
                nn.ReLU(),
                nn.Dropout(0.5),
                nn.Linear(6, 5),
                nn.BatchNorm1d(5, momentum=0.3),
                nn.Linear(5, 2),
            )
        )
    )


def convolutional() -> Any:
    return seeded(
        lambda: unsettled(
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Conv2d(4, 6, 3, groups=2, bias=False),
                nn.BatchNorm2d(6, eps=1e-3),
            )
        )
    )


def everything(model: nn.Module) -> dict[str, Any]:
    """What a pass that only measures must leave alone."""
    return {
        "state": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "places": {name: tensor.data_ptr() for name, tensor in model.state_dict().items()},
        "modes": [module.training for module in model.modules()],
        "momenta": [norm.momentum for norm in batch_norms(model).values()],
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._forward_hooks_always_called))
            for m in model.modules()
        ],
        "random": torch.get_rng_state(),
        "gradients taken": torch.is_grad_enabled(),
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, Tensor) else bool(a == b)
