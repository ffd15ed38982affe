"""Batch norms: their two forms, running statistics from data, folding into weights, measurements.

    training_form     what a batch norm computes by the minibatch's statistics
    evaluation_form   what it computes by given ones
    refresh           running statistics of all examples under the current weights
    fold              a copy for evaluation, batch norms folded into the layers before them
    batch_norms       those of a model, by name
    inspect           what every batch norm sees of a minibatch, and how its two forms differ

A batch norm is an `nn.BatchNorm1d`, `2d`, `3d` or `nn.SyncBatchNorm` module, or a subclass.
"""

from ravine.normalization._fold import Folded, fold
from ravine.normalization._forms import evaluation_form, training_form
from ravine.normalization._inspect import Record, inspect
from ravine.normalization._layers import batch_norms
from ravine.normalization._refresh import refresh

__all__ = [
    "Folded",
    "Record",
    "batch_norms",
    "evaluation_form",
    "fold",
    "inspect",
    "refresh",
    "training_form",
]
