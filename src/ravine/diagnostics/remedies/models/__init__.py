"""Changes of the model."""

from ravine.diagnostics.remedies.models.endings import no_ending, sigmoid_ending
from ravine.diagnostics.remedies.models.layers import (
    activation,
    batch_norm,
    dropout,
    finite_softmax,
    long_memory,
    no_batch_norm,
    no_dropout,
    unfrozen,
    usual_batch_norm,
)
from ravine.diagnostics.remedies.models.removal import taken_out
from ravine.diagnostics.remedies.models.sizes import hidden_layer, nonlinear, wider

__all__ = [
    "activation",
    "batch_norm",
    "dropout",
    "finite_softmax",
    "hidden_layer",
    "long_memory",
    "no_batch_norm",
    "no_dropout",
    "no_ending",
    "nonlinear",
    "sigmoid_ending",
    "taken_out",
    "unfrozen",
    "usual_batch_norm",
    "wider",
]
