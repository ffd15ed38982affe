"""The whole suite, for a rule of one's own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from ravine.errors import UnknownNameError
from ravine.rules import Rule, as_rule
from ravine.testing import _engines, _functions
from ravine.testing._failures import ConformanceError, raised, several
from ravine.testing._functions import Reference
from ravine.testing._walks import Shape


@dataclass(frozen=True)
class Promise:
    """One promise of a rule.

    Attributes:
        check: raises ConformanceError for a rule that breaks it.
        needs: promises without which this one has no meaning.
    """

    check: Callable[[Rule, Shape], None]
    needs: tuple[str, ...] = ("state",)


_IN_ENGINES = ("state", "purity", "graph", "choice", "totals", "granularity", "probe")

PROMISES = {
    "state": Promise(_functions.check_state, needs=()),
    "dtypes": Promise(_functions.check_dtypes),
    "purity": Promise(_functions.check_purity),
    "graph": Promise(_functions.check_graph),
    "choice": Promise(_functions.check_choice),
    "settings": Promise(_functions.check_settings),
    "probe": Promise(_functions.check_probe),
    "totals": Promise(_engines.check_totals, needs=("state", "graph")),
    "granularity": Promise(
        _engines.check_granularity, needs=("state", "purity", "graph", "choice", "totals")
    ),
    "compiled": Promise(_engines.check_compiled, _IN_ENGINES),
    "recompilation": Promise(_engines.check_recompilation, _IN_ENGINES),
    "population": Promise(_engines.check_population, _IN_ENGINES),
    "accumulation": Promise(_engines.check_accumulation, _IN_ENGINES),
    "checkpoint": Promise(_engines.check_checkpoint, _IN_ENGINES),
}
"""The promises by name, in an order in which each follows those that it needs."""


def check_rule(
    rule: Rule | str,
    reference: Reference | None = None,
    *,
    shape: Shape = (4, 3),
    idle: Collection[str] = (),
    tolerance: float = 1e-12,
    without: Collection[str] = (),
) -> None:
    """Check all that engines rely on in a rule.

        def test_my_rule():
            check_rule(my_rule(), my_loop_in_numpy)

    | promise | the rule |
    |---|---|
    | reference | walks the path of a NumPy loop, if one is given |
    | state | remembers entries of the parameter's shape and 0-D counts, or what a matrix rule likes |
    | dtypes | keeps dtypes and shapes, and stays finite, in float64, float32 and bfloat16 |
    | purity | changes nothing that it is given, and repeats itself |
    | graph | looks at no value: no `float(...)`, no `if` on a tensor |
    | choice | chooses among a few fixed updates by counts alone, if it chooses |
    | settings | reads every hyperparameter from `hyper` |
    | probe | takes its first gradient at the parameter |
    | totals | gives terms that may be summed up in any order |
    | granularity | looks at no more than it says |
    | compiled | goes the same way compiled, to 1e-10 |
    | recompilation | is not compiled again when hyperparameters change |
    | population | goes the same way as a member of a population |
    | accumulation | steps on the mean of pieces as on the mean |
    | checkpoint | goes on from a checkpoint bit by bit |

    The compiled steps of a rule take some seconds to compile, and are left out, with a warning, where
    there is no C++ compiler. Each promise is a function of its own, too: `check_purity(rule)`.

    Args:
        rule: the rule, or its name on the command line.
        reference: (theta, gradient, steps, **hyper) -> θ after every step, as `check_reference`
            takes it.
        shape: of most parameters that are stepped.
        idle: hyperparameters that do nothing at their defaults.
        tolerance: to the reference.
        without: names of promises to leave out.

    Raises:
        ConformanceError: promises are broken; the message says of each what came, what was expected
            and what to change. Those that build on a broken one are not checked, and listed.
        UnknownNameError: no promise goes by a name in `without`.
    """
    rule = as_rule(rule)
    promises = {**PROMISES, "settings": Promise(partial(_functions.check_settings, idle=idle))}
    if reference is not None:
        promises["reference"] = Promise(_against(reference, tolerance))
    for name in without:
        if name not in promises:
            raise UnknownNameError.of("promise", name, promises, "help(ravine.testing.check_rule)")
    failures: list[ConformanceError] = []
    unchecked: list[str] = []
    for name, promise in promises.items():
        if name in without:
            continue
        missing = {*unchecked, *(failed for failure in failures for failed in failure.promises)}
        if missing.intersection(promise.needs):
            unchecked.append(name)
        elif failure := _failure(name, promise, rule, shape):
            failures.append(failure)
    if failures:
        broken = [name for failure in failures for name in failure.promises]
        raise ConformanceError(several(rule.title, failures, unchecked), broken)


def _against(reference: Reference, tolerance: float) -> Callable[[Rule, Shape], None]:
    def check(rule: Rule, shape: Shape) -> None:
        _functions.check_reference(rule, reference, shape, tolerance)

    return check


def _failure(name: str, promise: Promise, rule: Rule, shape: Shape) -> ConformanceError | None:
    """What is wrong with one promise."""
    try:
        promise.check(rule, shape)
    except ConformanceError as failure:
        return failure
    except Exception as error:
        return raised(name, error)
    return None
