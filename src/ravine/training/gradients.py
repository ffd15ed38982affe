"""Every member's gradient in one pass, nothing summed over members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from ravine.batches import Feed
from ravine.engines.graphs.compiling import Compiled, trace
from ravine.engines.graphs.rewriting import turn_narrow_products
from ravine.training.flat import Layout
from ravine.training.lane import Tensors
from ravine.training.noise import restart
from ravine.training.unfused import unfused_attention

Objective = Callable[[Tensor, Tensor, Tensors], Tensor]
"""(output, target, parameters by name) -> 0-D."""

Gradients = Callable[[Tensor, Tensors, Tensor, Tensor], tuple[Tensor, Tensor, Tensors]]


def member_gradients(
    model: torch.nn.Module,
    layout: Layout,
    objective: Objective,
) -> Gradients:
    """Every member's gradient and cost on its own minibatch; nothing is summed over members.

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


class Graphs:
    """Members' gradients on the minibatches of a feed as one graph, made at the first call.

    A graph is made for one size of minibatches; an epoch's last one may be smaller. It gathers the
    minibatches itself where the data lie in memory.

    Args:
        model, layout, objective: as for `member_gradients`.
        compiled: compile the graphs.
        options: of inductor.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        layout: Layout,
        objective: Objective,
        compiled: bool,
        options: Mapping[str, Any],
    ):
        self._gradients = member_gradients(model, layout, objective)
        self._compiled = compiled
        self._options = options
        self._made: dict[torch.Size, Callable[..., Any]] = {}
        self._lock = Lock()

    def __call__(
        self, points: Tensor, buffers: Tensors, feed: Feed, step: int
    ) -> tuple[Tensor, Tensor, Tensors]:
        """What `member_gradients` gives."""
        # a graph is compiled for the strides, and indices are slices of an epoch's or copies
        raw = tuple(part.contiguous() for part in feed.raw(step))
        args = (points, buffers, feed.held, raw)
        size = raw[0].shape
        if size not in self._made:
            with self._lock:
                if size not in self._made:
                    self._made[size] = self._make(type(feed), args)
        found: tuple[Tensor, Tensor, Tensors] = self._made[size](*args)
        return found

    def _make(self, feed: type[Feed], args: tuple[Any, ...]) -> Callable[..., Any]:
        def whole(points: Tensor, buffers: Tensors, held: Any, raw: Any) -> Any:
            return self._gradients(points, buffers, *feed.made(held, raw))

        if not self._compiled:
            return trace(whole, args)
        return Compiled(whole, args, False, [turn_narrow_products], self._options)
