"""Every member's gradient in one pass, nothing summed over members."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from ravine.training.flat import Layout
from ravine.training.lane import Tensors
from ravine.training.noise import restart
from ravine.training.unfused import unfused_attention

Gradients = Callable[[Tensor, Tensors, Tensor, Tensor], tuple[Tensor, Tensor, Tensors]]


def member_gradients(
    model: torch.nn.Module,
    layout: Layout,
    objective: Callable[[Tensor, Tensor, Tensors], Tensor],
) -> Gradients:
    """Every member's gradient and cost on its own minibatch; nothing is summed over members.

    `objective` is (output, target, parameters by name) -> 0-D.

    The function returned takes
        points: where to take gradients, [members, size];
        buffers: stacked constants by name, [members, ...]; a forward pass may update them;
        inputs, targets: a minibatch for each member, [members, batch_size, ...];
    and returns gradients [members, size], costs [members], and the buffers after the forward pass.
    """

    def forward(weights: Tensors, buffers: Tensors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensors]:
        restart(model)
        after = dict(buffers)  # modules write to buffers in place: into these tensors
        output = functional_call(model, {**weights, **after}, (x,))
        return objective(output, y, weights), after

    def one(
        point: Tensor, buffers: Tensors, x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, Tensors]:
        weights = layout.unflatten(point)
        grads, (value, after) = grad_and_value(forward, has_aux=True)(weights, buffers, x, y)
        return layout.flatten(grads), value, after

    def several(
        points: Tensor, buffers: Tensors, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensors]:
        buffers = {name: buffer.clone() for name, buffer in buffers.items()}
        with unfused_attention():
            return vmap(one)(points, buffers, inputs, targets)

    return several
