"""Recipes trained one after the other, each from the weights that the one before has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from torch import Tensor, nn

from ravine.errors import SettingError
from ravine.initializers import Start, from_pretrained
from ravine.recipes import Measure, Recipe
from ravine.seeds import derive
from ravine.strategies._smoothed import bare
from ravine.training.fit import AnyProcedure, Fitted, MakeLane, as_procedures, fit
from ravine.training.procedure import Procedure
from ravine.training.records import Run


@final
@dataclass(frozen=True)
class Staged:
    """A member that went through several recipes.

    Attributes:
        stages: what came of each, in order.
    """

    stages: tuple[Fitted, ...]

    @property
    def model(self) -> nn.Module:
        """The module of the last stage."""
        return self.stages[-1].model

    @property
    def run(self) -> Run:
        """The run of the last stage."""
        return self.stages[-1].run


def fit_stages(
    recipes: Sequence[Recipe],
    procedures: AnyProcedure | Sequence[AnyProcedure],
    lr: float | None = None,
    seeds: Sequence[int] = (0,),
    lane: str | MakeLane = "auto",
) -> list[Staged]:
    """Train members through a series of recipes.

    From the second stage on, parameters and buffers whose name and shape the stage before had too
    begin where that one ended, for each member its own; the others as in any training. The
    optimizer begins anew in every stage, and so do schedules and the order of examples.

    Args:
        recipes: the stages, such as `layerwise` and `continuation` make them, or any others.
        procedures, lr, seeds, lane: as in `fit`, the same in every stage.

    Returns:
        As `fit`: the first procedure's members in the order of the seeds, then the next one's.

    Raises:
        SettingError: no recipes, one that has no parameter in common with the one before, or
            what `fit` refuses.
        UnknownNameError, RecipeError: as for `fit`.
    """
    if not recipes:
        raise SettingError("there are no recipes to train in stages; expected at least one")
    arms = as_procedures(procedures)
    stages = [fit(recipes[0], arms, lr, seeds, lane)]
    for recipe in recipes[1:]:
        before = [stages[-1][i : i + len(seeds)] for i in range(0, len(stages[-1]), len(seeds))]
        further = [_further(arm, of) for arm, of in zip(arms, before, strict=True)]
        stages.append(fit(recipe, further, lr, seeds, lane))
    return [Staged(of_member) for of_member in zip(*stages, strict=True)]


def _further(procedure: Procedure, before: Sequence[Fitted]) -> Procedure:
    """The procedure, begun where each seed's member of the stage before has ended."""
    found = {derive(member.run.trial.seed, "start"): bare(member.model) for member in before}
    # A lane is tried out with seeds of its own, from which no member was trained: any will do.
    some = bare(before[0].model)

    def apply(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Measure) -> None:
        procedure.start(model, seed, inputs, targets, cost)
        from_pretrained(bare(model), found.get(seed, some))

    return replace(procedure, start=Start(f"{procedure.start.name}+stage", apply))
