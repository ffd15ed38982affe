"""ravine finds the optimizer that trains your model, and tells you why the others don't."""

from ravine import (
    batches,
    initializers,
    metrics,
    normalization,
    optim,
    penalties,
    rules,
    schedules,
    stopping,
    strategies,
    testing,
    transforms,
)
from ravine.api import (
    Ensembled,
    Training,
    compare,
    compare_several,
    doctor,
    ensemble,
    members,
    range_test,
    train,
    write_page,
)
from ravine.comparison.progress import Progress
from ravine.comparison.records import Verdict
from ravine.comparison.several.overall import Overall
from ravine.diagnostics.doctor.prescription import Prescription
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.watch.watching import Watch
from ravine.errors import RavineError
from ravine.optim._any import Optimizer
from ravine.optim._groups import groups
from ravine.recipes import Recipe
from ravine.rules import Rule
from ravine.training.fit import Fitted, fit
from ravine.training.procedure import Procedure
from ravine.transforms import (
    accumulate,
    chain,
    clip_adaptive,
    clip_norm,
    clip_norm_each,
    clip_value,
    decoupled,
    exponential_average,
    l2,
    polyak,
    stochastic_weight_average,
)

watch = Watch

__all__ = [
    "Ensembled",
    "Finding",
    "Fitted",
    "Optimizer",
    "Overall",
    "Prescription",
    "Procedure",
    "Progress",
    "RavineError",
    "Recipe",
    "Rule",
    "Training",
    "Verdict",
    "Watch",
    "accumulate",
    "batches",
    "chain",
    "clip_adaptive",
    "clip_norm",
    "clip_norm_each",
    "clip_value",
    "compare",
    "compare_several",
    "decoupled",
    "doctor",
    "ensemble",
    "exponential_average",
    "fit",
    "groups",
    "initializers",
    "l2",
    "members",
    "metrics",
    "normalization",
    "optim",
    "penalties",
    "polyak",
    "range_test",
    "rules",
    "schedules",
    "stochastic_weight_average",
    "stopping",
    "strategies",
    "testing",
    "train",
    "transforms",
    "watch",
    "write_page",
]
