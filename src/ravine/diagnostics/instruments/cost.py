"""Which cost this is, and what a model that ignored its inputs would pay, read off the loss's graph."""

from __future__ import annotations

import math
from typing import final

import torch

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._targets import (
    CLASSES,
    LOGITS,
    SHARES,
    SQUARES,
    Bill,
    bill,
    priced,
)
from ravine.diagnostics.look import Look
from ravine.diagnostics.watch.graph import kind, towards_output

QUANTITIES = {
    "cost_is_likelihood_of_classes": "1 if the cost is -log p of a class (cross-entropy, NLL)",
    "cost_is_squared_error": "1 if it is the squared error, or a robust form of it",
    "cost_is_likelihood_of_shares": "1 if it is binary cross-entropy of probabilities",
    "cost_is_likelihood_of_logits": "1 if it is binary cross-entropy of logits",
    "log_softmax_before_cost": "1 if a log-softmax is between output and cost, or ends the model",
    "broadcast_targets": "1 if output and targets were broadcast against each other",
    "target_classes": "different targets in the minibatch, where they are whole numbers",
    "cost_is_robust": "1 if it grows with the error itself, at least with large ones (L1, Huber)",
    "targets_below_0": "share of the targets that are below 0",
    "targets_above_1": "share of the targets that are above 1",
    "targets_below_-1": "share of the targets that are below -1",
    "loss_of_a_constant": "loss of the best output that is the same for all examples; as the cost",
    "loss_of_zeros": "loss of an output of zeros, or of shares of a half; as the cost",
    "least_loss": "loss of the targets as output, above 0 for shares between 0 and 1; as the cost",
}


@final
class Cost(Instrument):
    """The cost's kind, what comes right before it, and the targets that it keeps for its gradient.

    Known are torch's own costs and, written by hand, squares and absolute values of a difference and
    log-probabilities picked by class. Others give no readings.
    """

    name = "cost"
    quantities = QUANTITIES
    cost = "nothing but a look at the targets"
    passes = 0.01

    @torch.no_grad()
    def look(self, look: Look) -> Readings:
        """Walk from the loss to the model's output."""
        names = [kind(node) for node in towards_output(look)]
        paid = bill(look)
        of = priced(names) if paid is None else paid.kind
        if of is None:
            return {}
        found = {Name(k): float(k == of) for k in (CLASSES, SQUARES, SHARES, LOGITS)}
        found[Name("log_softmax_before_cost")] = float("LogSoftmax" in names)
        return found if paid is None else found | _of_targets(paid)


def _of_targets(paid: Bill) -> Readings:
    """How many classes, and the loss of the best constant output."""
    found = {Name("broadcast_targets"): float(paid.broadcast)}
    targets = paid.targets
    if not targets.is_floating_point() or bool((targets == targets.round()).all()):
        known = targets[targets >= 0] if paid.kind == CLASSES else targets
        found[Name("target_classes")] = float(torch.unique(known).numel())
    if paid.kind != CLASSES:
        found[Name("cost_is_robust")] = float(paid.robust)
        found[Name("targets_below_0")] = float((targets < 0).float().mean())
        found[Name("targets_above_1")] = float((targets > 1).float().mean())
        found[Name("targets_below_-1")] = float((targets < -1).float().mean())
    if math.isfinite(paid.constant):
        found[Name("loss_of_a_constant")] = paid.constant * paid.summed
        found[Name("least_loss")] = paid.least * paid.summed
    if math.isfinite(paid.zeros):
        found[Name("loss_of_zeros")] = paid.zeros * paid.summed
    return found
