"""Which cost this is, and what a model that ignored its inputs would pay, read off the loss's graph."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.look import Look

DEPTH = 16
"""Operations of the loss's graph that are looked at, from the loss towards the output."""

KINDS = {
    "NllLossBackward0": "cost_is_likelihood_of_classes",
    "NllLoss2DBackward0": "cost_is_likelihood_of_classes",
    "MseLossBackward0": "cost_is_squared_error",
    "SmoothL1LossBackward0": "cost_is_squared_error",
    "HuberLossBackward0": "cost_is_squared_error",
    "BinaryCrossEntropyBackward0": "cost_is_likelihood_of_shares",
    "BinaryCrossEntropyWithLogitsBackward0": "cost_is_likelihood_of_logits",
}
"""torch's name of an operation -> quantity."""

QUANTITIES = {
    "cost_is_likelihood_of_classes": "1 if the cost is -log p of a class (cross-entropy, NLL)",
    "cost_is_squared_error": "1 if it is the squared error, or a robust form of it",
    "cost_is_likelihood_of_shares": "1 if it is binary cross-entropy of probabilities",
    "cost_is_likelihood_of_logits": "1 if it is binary cross-entropy of logits",
    "log_softmax_before_cost": "1 if a log-softmax is between output and cost, or ends the model",
    "broadcast_targets": "1 if output and targets were broadcast against each other",
    "target_classes": "different targets in the minibatch, where they are whole numbers",
    "loss_of_a_constant": "loss of the best output that is the same for all examples; as the cost",
}


class Cost(Instrument):
    """The cost's kind, what comes right before it, and the targets that it keeps for its gradient."""

    name = "cost"
    quantities = QUANTITIES
    cost = "nothing but a look at the targets"
    passes = 0.01

    def look(self, look: Look) -> Readings:
        """Walk from the loss to the model's output."""
        nodes = list(_towards_output(look))
        kinds = [KINDS[name] for name, _ in nodes if name in KINDS]
        found = {Name(kind): float(kind in kinds) for kind in dict.fromkeys(KINDS.values())}
        if not kinds:
            return {}
        names = [name for name, _ in nodes]
        found[Name("log_softmax_before_cost")] = float("LogSoftmaxBackward0" in names)
        node = next(node for name, node in nodes if name in KINDS)
        targets, given = getattr(node, "_saved_target", None), getattr(node, "_saved_self", None)
        if isinstance(targets, Tensor) and isinstance(given, Tensor):
            found[Name("broadcast_targets")] = float("ExpandBackward0" in names)
            found |= _of_targets(targets.detach(), given.detach(), kinds[0])
        return found


def _towards_output(look: Look) -> Iterator[tuple[str, Any]]:
    """The operations from the loss to the one that made the output, that one included."""
    last = None if look.output is None else look.output.grad_fn
    node: Any = look.loss.grad_fn
    for _ in range(DEPTH):
        if node is None:
            return
        yield type(node).__name__, node
        if node is last or not node.next_functions:
            return
        node = next((n for n, _ in node.next_functions if n is not None), None)


def _of_targets(targets: Tensor, given: Tensor, kind: str) -> Readings:
    """What the targets say: how many classes, and the loss of the best constant output."""
    found: Readings = {}
    values = targets.double()
    whole = not targets.is_floating_point() or bool((values == values.round()).all())
    if whole:
        found[Name("target_classes")] = float(torch.unique(targets).numel())
    if kind == "cost_is_likelihood_of_classes":
        _, counts = torch.unique(targets, return_counts=True)
        share = counts.double() / targets.numel()
        found[Name("loss_of_a_constant")] = float(-(share * share.log()).sum())
    elif kind == "cost_is_squared_error":
        rows = values.reshape(len(targets), -1) if targets.ndim else values.reshape(1, 1)
        found[Name("loss_of_a_constant")] = float(rows.var(dim=0, unbiased=False).mean())
    else:
        rows = values.reshape(len(targets), -1)
        p = rows.mean(dim=0).clamp(0, 1)
        found[Name("loss_of_a_constant")] = float(_entropy(p).mean())
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _entropy(p: Tensor) -> Tensor:
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))
