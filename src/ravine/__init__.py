"""ravine finds the optimizer that trains your model, and tells you why the others don't."""

from ravine import metrics, optim, rules
from ravine.api import compare, train
from ravine.comparison.progress import Progress
from ravine.comparison.records import Verdict
from ravine.errors import RavineError
from ravine.recipes import Recipe
from ravine.rules import Rule

__all__ = [
    "Progress",
    "RavineError",
    "Recipe",
    "Rule",
    "Verdict",
    "compare",
    "metrics",
    "optim",
    "rules",
    "train",
]
