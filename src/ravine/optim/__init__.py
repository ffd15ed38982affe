"""Optimizers with torch.optim's class names, signatures and checkpoints, over ravine's rules.

Changing `torch.optim` to `ravine.optim` is the whole migration. Classes that torch does not have:
`Momentum`, `Nesterov` and `RMSpropNesterov`.
"""

from ravine.optim._base import RuleOptimizer
from ravine.optim._lookahead import Momentum, Nesterov, RMSpropNesterov
from ravine.optim._twins import SGD, Adadelta, Adagrad, Adam, AdamW, NAdam, RMSprop

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Momentum",
    "NAdam",
    "Nesterov",
    "RMSprop",
    "RMSpropNesterov",
    "RuleOptimizer",
]
