"""In what order examples are seen, in minibatches of what size, and where they come from.

    shuffled, shuffled_once, stored     anew every epoch, once for all epochs, as the data are stored
    with_replacement, stream            simple random sampling; each example once
    stratified                          every minibatch has the classes in proportion
    grouped, spread                     samples of one group together, or as far apart as possible
    curriculum                          easy to hard, by scores; by_loss makes them with a model
    Batches, sampler                    minibatches by gradient step; the same for torch's DataLoader
    InMemory, Loaded, Streamed          feeds: examples from tensors, a Dataset, an endless source

An order is a function of (seed, epoch) alone, so that any step of any run can be replayed, and runs
of one seed see the same examples whatever the optimizer. Full batch: batch_size >= examples. Single
examples: batch_size 1. Your own order: subclass `Order`.
"""

from ravine.batches._curriculum import ExponentialPacing, LinearPacing, curriculum
from ravine.batches._feed import Feed, InMemory
from ravine.batches._groups import grouped, spread
from ravine.batches._loading import Loaded, Streamed
from ravine.batches._losses import by_loss
from ravine.batches._minibatches import Batches, Last, per_epoch
from ravine.batches._names import NAMES, named
from ravine.batches._order import Order
from ravine.batches._sampling import sampler
from ravine.batches._shuffling import shuffled, shuffled_once, stored, stream, with_replacement
from ravine.batches._strata import stratified

__all__ = [
    "NAMES",
    "Batches",
    "ExponentialPacing",
    "Feed",
    "InMemory",
    "Last",
    "LinearPacing",
    "Loaded",
    "Order",
    "Streamed",
    "by_loss",
    "curriculum",
    "grouped",
    "named",
    "per_epoch",
    "sampler",
    "shuffled",
    "shuffled_once",
    "spread",
    "stored",
    "stratified",
    "stream",
    "with_replacement",
]
