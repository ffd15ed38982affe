"""Optimizers with torch.optim's class names, signatures and checkpoints, over ravine's rules.

Changing `torch.optim` to `ravine.optim` is the whole migration. Classes that torch does not have:

    Momentum, Nesterov, RMSpropNesterov     velocities, the gradient taken ahead
    DeltaBarDelta, Lion, SignSGD, Signum    steps by signs
    LARS, LAMB                              steps in parts of each parameter's norm
    Shampoo, SOAP                           a preconditioner for every axis
    MuonAdamW                               Muon for whole models
    ScheduleFreeSGD, ScheduleFreeAdamW      averaging in place of a schedule
    SAM                                     around any of these, or of torch's: flat minima

Any other rule, alone or in a chain with transforms: `ravine.Optimizer`.
"""

from ravine.optim._adam import Adam, Adamax, AdamW, NAdam, RAdam
from ravine.optim._adaptive import Adadelta, Adafactor, Adagrad, RMSprop
from ravine.optim._base import RuleOptimizer
from ravine.optim._descent import ASGD, SGD, Rprop
from ravine.optim._layerwise import LAMB, LARS
from ravine.optim._muon import Muon, MuonAdamW
from ravine.optim._preconditioned import SOAP, Shampoo
from ravine.optim._sam import SAM
from ravine.optim._schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from ravine.optim._signs import DeltaBarDelta, Lion, SignSGD, Signum
from ravine.optim._velocity import Momentum, Nesterov, RMSpropNesterov

__all__ = [
    "ASGD",
    "LAMB",
    "LARS",
    "SAM",
    "SGD",
    "SOAP",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "DeltaBarDelta",
    "Lion",
    "Momentum",
    "Muon",
    "MuonAdamW",
    "NAdam",
    "Nesterov",
    "RAdam",
    "RMSprop",
    "RMSpropNesterov",
    "Rprop",
    "RuleOptimizer",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Shampoo",
    "SignSGD",
    "Signum",
]
