"""Does a rule of your own keep what engines rely on? `check_rule` says, in one test.

    from ravine.testing import check_rule

    def test_my_rule():
        check_rule(my_rule())

Each promise by itself: `check_state`, `check_purity` and so on; see `check_rule`.
"""

from ravine.testing._check import PROMISES, check_rule
from ravine.testing._engines import (
    check_accumulation,
    check_checkpoint,
    check_compiled,
    check_granularity,
    check_population,
    check_recompilation,
    check_totals,
)
from ravine.testing._failures import ConformanceError
from ravine.testing._functions import (
    check_choice,
    check_dtypes,
    check_graph,
    check_probe,
    check_purity,
    check_reference,
    check_settings,
    check_state,
)

__all__ = [
    "PROMISES",
    "ConformanceError",
    "check_accumulation",
    "check_checkpoint",
    "check_choice",
    "check_compiled",
    "check_dtypes",
    "check_granularity",
    "check_graph",
    "check_population",
    "check_probe",
    "check_purity",
    "check_recompilation",
    "check_reference",
    "check_rule",
    "check_settings",
    "check_state",
    "check_totals",
]
