"""Bad starting points: functions (model, seed) that change a model in place."""

from __future__ import annotations

import torch
from torch import nn

WITH_WEIGHTS = (nn.Linear, nn.Conv2d, nn.RNNBase)


@torch.no_grad()
def biases(model: nn.Module, seed: int, value: float) -> None:
    """Every bias of linear and convolutional layers but the last is set to a value."""
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers[:-1]:
        assert layer.bias is not None
        layer.bias.fill_(value)


@torch.no_grad()
def output_bias(model: nn.Module, seed: int, value: float) -> None:
    """The last linear layer's bias is set to a value."""
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    last.bias.fill_(value)


@torch.no_grad()
def scaled(model: nn.Module, seed: int, factor: float) -> None:
    """Weights of all layers as built, times a factor."""
    for layer in model.modules():
        if isinstance(layer, WITH_WEIGHTS):
            for name, parameter in layer.named_parameters(recurse=False):
                if name.startswith("weight"):
                    parameter.mul_(factor)


@torch.no_grad()
def recurrent(model: nn.Module, seed: int, radius: float) -> None:
    """Every recurrent matrix: a random orthogonal one times its spectral radius."""
    for layer in model.modules():
        if isinstance(layer, nn.RNNBase):
            for name, parameter in layer.named_parameters():
                if name.startswith("weight_hh"):
                    nn.init.orthogonal_(parameter)
                    parameter.mul_(radius)
