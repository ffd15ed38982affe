"""The members of a finished comparison, together: what they gain over the best one alone."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ravine.api.given import AnyRecipe, loaded
from ravine.comparison import statistics
from ravine.comparison.identity import agree, fingerprint
from ravine.comparison.members import load
from ravine.comparison.records import Interval
from ravine.comparison.store import Store, explained
from ravine.errors import FolderError
from ravine.recipes import Measure, Problem, Split, find
from ravine.recipes.examples import EXAMPLES_AT_ONCE
from ravine.strategies import Ensemble, RegressionEnsemble
from ravine.training.lane import mean_over


@dataclass(frozen=True)
class Ensembled:
    """Members that answer together.

    Attributes:
        model: the ensemble, in evaluation mode. members: its modules, by seed.
        arm: the setting that they were trained with, the comparison's probable best.
        metric: its name. maximize: whether a larger one is better.
        data: what the figures are on, "test"; "validation" where the recipe has no test data.
        single: the metric of the member that is the best one on the validation data, seed `best`.
        mean: the mean of the members' metrics. together: the ensemble's.
        over_single, over_mean: by how much the ensemble is better, in the metric's units, with 95%
            bootstrap intervals over examples: the members are what they are. None where the metric is
            no mean over examples.
    """

    model: nn.Module
    members: dict[int, nn.Module]
    arm: str
    metric: str
    maximize: bool
    data: str
    best: int
    single: float
    mean: float
    together: float
    over_single: Interval | None
    over_mean: Interval | None


def members(
    folder: str | Path, recipe: AnyRecipe | None = None, data: str | Path | None = None
) -> dict[int, nn.Module]:
    """The modules that a comparison has trained with its best setting, by seed, in evaluation mode.

    Args:
        folder: its run folder.
        recipe: what was compared on; by default the built-in recipe of the stored name.
        data: local data sets for that one, as for `ravine compare --data`.

    Raises:
        FolderError: the folder holds no members, or those of another recipe.
    """
    return _members(Path(folder), recipe, data)[2]


def ensemble(
    folder: str | Path, recipe: AnyRecipe | None = None, data: str | Path | None = None
) -> Ensembled:
    """Average the members that a comparison has trained with its best setting.

    Classes (whole-numbered targets, two scores or more): probabilities are averaged
    (`strategies.Ensemble`); else outputs (`strategies.RegressionEnsemble`). The best single member is
    chosen on the validation data, and all are compared on the test data.

    Args:
        folder, recipe, data: as for `members`.

    Raises:
        FolderError: the folder holds no members, or those of another recipe.
    """
    problem, arm, modules = _members(Path(folder), recipe, data)
    several = list(modules.values())
    kind = Ensemble if _classifies(problem, several[0]) else RegressionEnsemble
    model = kind(several).eval()
    measure, sign = problem.recipe.measure, -1 if problem.recipe.maximize else 1
    on_validation = [sign * _metric(problem.validation, one, measure) for one in several]
    best = min(range(len(several)), key=on_validation.__getitem__)
    split = problem.validation if problem.test is None else problem.test
    singles = [_metric(split, one, measure) for one in several]
    together = _metric(split, model, measure)
    return Ensembled(
        model=model,
        members=modules,
        arm=arm,
        metric=problem.recipe.metric_name,
        maximize=problem.recipe.maximize,
        data="validation" if problem.test is None else "test",
        best=list(modules)[best],
        single=singles[best],
        mean=sum(singles) / len(singles),
        together=together,
        **_gains(split, several, best, model, measure, sign),
    )


def _members(
    folder: Path, recipe: AnyRecipe | None, data: str | Path | None
) -> tuple[Problem, str, dict[int, nn.Module]]:
    with explained(folder), closing(Store(folder, must_exist=True)) as store:
        name, identity = store.fact("problem"), store.fact("recipe")
        settings = store.fact("settings")
    if name is None or identity is None:
        raise FolderError(f"{folder} holds no finished comparison; continue it first")
    problem = loaded(
        find(name["name"], data) if recipe is None else recipe,
        steps=settings["steps"],
        epochs=None,
        batch_size=int(identity["batch size"]),
    )
    for part, value in fingerprint(problem).items():
        if not agree(part, identity.get(part), value):
            raise FolderError(
                f"{folder} is of another recipe than {problem.recipe.name!r}: their {part} differ; "
                "expected the recipe that was compared on, e.g. `ravine ensemble DIR mine.py`"
            )
    arm, modules = load(folder, problem)
    return problem, name["titles"][arm], modules


def _classifies(problem: Problem, model: nn.Module) -> bool:
    """Whether outputs are scores of classes."""
    first = problem.validation.first(2)
    with torch.no_grad():
        output = model(first.inputs)
    whole = not (first.targets.is_floating_point() or first.targets.is_complex())
    return whole and output.ndim > 1 and output.shape[1] > 1


def _metric(split: Split, model: nn.Module, measure: Measure) -> float:
    (value,) = mean_over(split, model, (measure,), members=False)
    return float(value)


def _gains(
    split: Split, several: list[nn.Module], best: int, model: nn.Module, measure: Measure, sign: int
) -> dict[str, Interval | None]:
    """By how much the ensemble is better than the best and than the mean single member."""
    each = [_by_example(split, one, measure) for one in several]
    ours = _by_example(split, model, measure)
    known = [row for row in each if row is not None]
    if ours is None or len(known) < len(each):
        return {"over_single": None, "over_mean": None}
    rows = torch.stack(known)
    gains = {"over_single": rows[best] - ours, "over_mean": rows.mean(0) - ours}
    return {name: statistics.over_examples(sign * gain) for name, gain in gains.items()}


@torch.no_grad()
def _by_example(split: Split, model: nn.Module, measure: Measure) -> Tensor | None:
    """The metric of each example, float64 [examples]; None if it is no mean over examples."""
    values = []
    for start in range(0, len(split), EXAMPLES_AT_ONCE):
        output = model(split.inputs[start : start + EXAMPLES_AT_ONCE])
        targets = split.targets[start : start + EXAMPLES_AT_ONCE]
        pairs = zip(torch.split(output, 1), torch.split(targets, 1), strict=True)
        one_by_one = torch.stack([measure(*pair) for pair in pairs]).double()
        whole = measure(output, targets).double()
        if not torch.allclose(one_by_one.mean(), whole, rtol=1e-4, atol=1e-6):
            return None
        values.append(one_by_one)
    return torch.cat(values)
