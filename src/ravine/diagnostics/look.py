"""What instruments see of a run: a gradient step stopped in the middle, and the stride it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layer:
    """One use of a module without children in a forward pass.

    Attributes:
        name: as `model.named_modules()` has it; a second use has "#2" behind it.
        module: the module itself.
        input: its first tensor argument, [batch, ...], as it went in; None if there was none.
        output: what it returned (its first tensor), [batch, ...], with its graph.
    """

    name: str
    module: nn.Module
    input: Tensor | None
    output: Tensor


@dataclass(frozen=True)
class Look:
    """A run at one gradient step, after the forward pass and before the backward pass.

    Instruments take derivatives of `loss` through the graph that is there; they neither run the
    model nor touch `.grad`, so nothing of the run changes.

    Attributes:
        step: gradient steps taken before this one.
        loss: 0-D, with its graph.
        model: the module. params: its trainable parameters by name.
        layers: uses of modules without children, in order of execution.
        inputs: the model's first tensor argument, [batch, ...]. output: what it returned, [batch, ...].
        lr: learning rate of each parameter, by name.
    """

    step: int
    loss: Tensor
    model: nn.Module
    params: Mapping[str, Tensor]
    layers: tuple[Layer, ...]
    inputs: Tensor | None
    output: Tensor | None
    lr: Mapping[str, float]

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """dJ/dθ by name, with a graph of their own for second derivatives; 0 where J does not depend
        on a parameter. One backward pass, made once a look."""
        grads = torch.autograd.grad(
            self.loss,
            list(self.params.values()),
            create_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return dict(zip(self.params, grads, strict=True))


@dataclass(frozen=True)
class Stride:
    """What one step of the optimizer did.

    Attributes:
        step: gradient steps taken, this one included.
        before, after: trainable parameters by name.
        gradients: what the optimizer was given, by name; without those that had none.
        lr: learning rate of each parameter, by name.
    """

    step: int
    before: Mapping[str, Tensor]
    after: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]
    lr: Mapping[str, float]
