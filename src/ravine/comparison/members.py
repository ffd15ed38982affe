"""The members of the arm that is most probably the best, as they ended: what ensembles are made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ravine.comparison.records import Study
from ravine.comparison.store import Store
from ravine.errors import FolderError
from ravine.recipes import Problem, build_model
from ravine.training.choose import make_lane
from ravine.training.lane import fill, pack
from ravine.training.procedure import Procedure
from ravine.training.records import runs_of
from ravine.whole import write_whole

FILE = "members.pt"


def keep(problem: Problem, arms: Mapping[str, Procedure], store: Store, study: Study) -> None:
    """Write the members' weights and buffers to `members.pt`, whole or not at all, those that diverged
    left out; of all other members, and of what optimizers remember, nothing is left then.

    Args:
        problem: the recipe. arms: by name.
        store: of a comparison that has come to its end. Called again, it goes on where it was stopped.
        study: what it came to.
    """
    name = study.verdict.lead.name
    runs = [run for run in runs_of(name, study.final) if run.diverged_at is None]
    if runs and store.member("final", runs[0].trial).snapshot is None:
        return  # it has been done
    if runs:
        lane = make_lane(store.fact("lane")["name"], False, problem, arms, 1)
        kept = {
            "arm": name,
            "seeds": [run.trial.seed for run in runs],
            "members": [lane.kept(store.member("final", run.trial)) for run in runs],
        }
        write_whole(store.folder / FILE, pack(kept))
    store.forget_snapshots("final", keep=())


def load(folder: Path, problem: Problem) -> tuple[str, dict[int, nn.Module]]:
    """The arm's name, and its members by seed, in evaluation mode.

    Raises:
        FolderError: there are none, or they are not of this recipe.
    """
    path = folder / FILE
    if not path.is_file():
        raise FolderError(
            f"{folder} holds no {FILE}; expected the --out folder of a comparison that has come to its "
            "end: type its `ravine compare` command again"
        )
    try:
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        pairs = list(zip(kept["seeds"], kept["members"], strict=True))
        models = {seed: fill(build_model(problem, seed), *held) for seed, held in pairs}
    except Exception as error:  # whatever torch.load meets in a damaged file, or another model
        raise FolderError(
            f"{path} is damaged, or of another model than the recipe's ({type(error).__name__})"
        ) from error
    return kept["arm"], models
